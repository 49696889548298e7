# SPDX-License-Identifier: Apache-2.0
"""The built documentation works from the disk, without a server and without other sites, search included."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs import pages

CONFIG = (pages.ROOT / "mkdocs.yml").read_text(encoding="utf-8")


def test_search_needs_no_server() -> None:
    assert re.search(r"^  - search$", CONFIG, re.M) and re.search(r"^  - offline$", CONFIG, re.M)
    (shim,) = re.search(r"polyfills: \[(.*)\]", CONFIG)[1].split(", ")
    assert "iframe-worker" in shim, "the offline plugin would add its own, from another site"
    text = (pages.ROOT / "docs" / shim).read_text(encoding="utf-8")
    assert 'location.protocol === "file:"' in text and "window.Worker" in text


@pytest.mark.slow
def test_the_site_has_what_it_loads(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs")
    subprocess.run([sys.executable, "docs/_gen/generate.py"], cwd=pages.ROOT, check=True)
    build = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(tmp_path)]
    subprocess.run(build, cwd=pages.ROOT, check=True)
    written = sorted(page for page in tmp_path.rglob("*.html") if page.name != "404.html")  # which only servers show
    assert len(written) > 30
    for page in written:
        html = page.read_text(encoding="utf-8")
        loaded = re.findall(r'<(?:script|img)[^>]* src="?([^" >]+)', html)
        loaded += re.findall(r'<link rel="?stylesheet"? href="?([^" >]+)', html)
        assert len(loaded) >= 4  # two of styles, the shim, the theme's script
        for target in loaded:
            assert "://" not in target, f"{page.name} loads {target} from another site"
            assert (page.parent / target).is_file(), f"{page.name} loads {target}, which is not there"
    index = (tmp_path / "search" / "search_index.js").read_text(encoding="utf-8")
    assert index.startswith("var __index = {") and "Herschel-Bulkley" in index
    api = (tmp_path / "api.html").read_text(encoding="utf-8")
    for module in pages.public_modules():
        if module != "simenv":  # whose names are shown where they come from
            shown = set(re.findall(rf'id="{module}\.([\w.]+)"', api))
            assert not [n for n in pages.public_names(module) if n not in shown and f"{n}.{n}" not in shown], module
