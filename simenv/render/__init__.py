# SPDX-License-Identifier: Apache-2.0
"""Headless frames, video and plots."""
