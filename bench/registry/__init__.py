"""The registry: names -> plug-ins, found in folders, entry points and files; loaded only when used."""

from bench.registry.catalogue import (
    Problem,
    dataset,
    dataset_loader,
    dataset_names,
    method,
    method_class,
    method_names,
    registered,
    rescan,
)
from bench.registry.describing import importing
from bench.registry.descriptions import DatasetDescription, MethodDescription, describe_method, plain
from bench.registry.fresh import fresh_modules
from bench.registry.names import suggestion, unknown
from bench.registry.settings import (
    PROFILES,
    Layer,
    checked_settings,
    covered,
    create_method,
    dataset_settings,
    instantiate,
    resolve_settings,
    settings_layers,
)
from bench.registry.sources import add_plugin, folder_of, plugins
from bench.registry.variants import concerns
from bench.registry.versions import Versions, loader_version

__all__ = [
    "PROFILES",
    "DatasetDescription",
    "Layer",
    "MethodDescription",
    "Problem",
    "Versions",
    "add_plugin",
    "checked_settings",
    "concerns",
    "covered",
    "create_method",
    "dataset",
    "dataset_loader",
    "dataset_names",
    "dataset_settings",
    "describe_method",
    "folder_of",
    "fresh_modules",
    "importing",
    "instantiate",
    "loader_version",
    "method",
    "method_class",
    "method_names",
    "plain",
    "plugins",
    "registered",
    "rescan",
    "resolve_settings",
    "settings_layers",
    "suggestion",
    "unknown",
]
