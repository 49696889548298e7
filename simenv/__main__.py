# SPDX-License-Identifier: Apache-2.0
"""``python -m simenv`` is the command ``simenv``."""

import runpy

if __name__ == "__main__":
    runpy.run_module("simenv.scripts.cli", run_name="__main__")  # by name: the library imports no script
