"""Registry: plug-ins by name, from folders, entry points and files; described without importing them."""

from bench.registry.catalogue import (
    concerns,
    dataset,
    dataset_loader,
    dataset_names,
    fresh_modules,
    import_problems,
    left_out,
    method,
    method_class,
    method_names,
    registered,
    rescan,
    suggestion,
    unknown,
)
from bench.registry.code import code_digest
from bench.registry.descriptions import MethodDescription, describe, plain
from bench.registry.settings import (
    PROFILES,
    Layer,
    checked_settings,
    covered,
    create_method,
    dataset_settings,
    instantiate,
    parse_yaml,
    resolve_settings,
    settings_layers,
)
from bench.registry.sources import add_plugin, entry_points, folder_of, given_modules, module_at, plugins
from bench.registry.versions import Versions, loader_version
