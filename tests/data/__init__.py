"""Tests of the data toolkit: reading, checking, finding, fetching, bundles, pairing, look-alikes."""
