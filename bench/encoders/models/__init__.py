"""The encoders that come with the project, one module each; heavy libraries are imported when used."""
