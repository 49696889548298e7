# SPDX-License-Identifier: Apache-2.0
"""Everything that measures simenv, and the simulators beside it. It runs from a checkout; nothing of it is installed.

``harness`` is what `simenv bench` runs: it starts the programs of this folder and of ``peers``, each in a process of
its own, and writes the reports in ``results``. ``against`` compares two checkouts, ``touch`` learning with and without
touch, ``palpation`` finds hard balls in soft blocks from recordings of touch.
"""
