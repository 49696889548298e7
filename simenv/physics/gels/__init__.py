# SPDX-License-Identifier: Apache-2.0
"""Elastomers that touch and feel: taxels, laws of the gel, and what a gel does to the bodies it touches."""
