"""Build hook: the extra ``emulator`` requires the emulator of the provider's own version."""

from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface


class OptionalDependencies(MetadataHookInterface):
    """Fill in ``{version}`` in the optional dependencies of ``pyproject.toml``."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Set ``optional-dependencies`` of the project's metadata."""
        metadata["optional-dependencies"] = {
            extra: [requirement.format(version=metadata["version"]) for requirement in requirements]
            for extra, requirements in self.config["optional-dependencies"].items()
        }
