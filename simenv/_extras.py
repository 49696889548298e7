# SPDX-License-Identifier: Apache-2.0
"""What to tell somebody who lacks an optional package: the one place that knows how simenv itself is installed.

The import name is ``simenv``, but on the package index that name belongs to another project, so ``pip install
'simenv[rl]'`` would bring the wrong thing.
"""

from __future__ import annotations

import json
import re
import shlex
from importlib import metadata
from pathlib import Path
from urllib.parse import unquote, urlparse

DISTRIBUTION = "simenv-physics"


def version_of(distribution: str) -> str | None:
    """Installed version of a distribution, without importing it; None where it is not installed."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def rival() -> str | None:
    """Version of an installed distribution ``simenv`` beside this one, whose package of the same name clashes.

    Metadata that lies in a source tree, which Python finds when run from there, is not an installation.
    """

    def installed(name: str) -> list[str]:
        return [each.version for each in metadata.distributions(name=name) if each.read_text("RECORD") is not None]

    found = installed("simenv")
    return found[0] if found and installed(DISTRIBUTION) else None


def install_command(extra: str) -> str:
    """The shell command that adds an extra to this installation.

    Args:
        extra: Name in ``[project.optional-dependencies]``, such as ``"rl"``.

    Returns:
        For an editable clone ``pip install -c constraints.txt -e '.[rl]'`` in its folder, which brings the versions
        that are tested together; else by the distribution's name.
    """
    clone = _clone()
    if clone is None:
        return f"pip install '{DISTRIBUTION}[{extra}]'"
    return f"cd {shlex.quote(str(clone))} && pip install -c constraints.txt -e '.[{extra}]'"


def missing(package: str, extra: str, what: str) -> ImportError:
    """The error for an optional package that is not installed.

    Args:
        package: What is missing, by its name on the index.
        extra: The extra that brings it.
        what: Who needs it, the beginning of the sentence, such as ``"CMA-ES"``.

    Returns:
        An error to raise.
    """
    return ImportError(f"{what} needs the package {package}, which is not installed: {install_command(extra)}")


def extra_of(module: str) -> str | None:
    """The extra that brings a package, as this installation declares it; None where none does.

    Args:
        module: Name that an import failed for, such as ``"cma"``.
    """
    for requirement in _requirements():
        name = re.match(r"[\w.-]+", requirement)
        extra = re.search(r"extra == [\"'](\w+)", requirement)
        if name and extra and name[0].lower().replace("-", "_") == module.lower():
            return extra[1]
    return None


def _requirements() -> list[str]:
    try:
        return metadata.requires(DISTRIBUTION) or []
    except metadata.PackageNotFoundError:  # run from the sources
        return []


def _clone() -> Path | None:
    """The folder of an editable installation (PEP 610), if this is one and it is still there."""
    try:
        text = metadata.distribution(DISTRIBUTION).read_text("direct_url.json")
    except metadata.PackageNotFoundError:
        text = None
    if text is None:
        here = Path(__file__).resolve().parents[1]  # run from the sources, without having been installed
        return here if (here / "pyproject.toml").is_file() else None
    source = json.loads(text)
    if not source.get("dir_info", {}).get("editable"):
        return None
    folder = Path(unquote(urlparse(source["url"]).path))
    return folder if (folder / "pyproject.toml").is_file() else None
