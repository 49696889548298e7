# SPDX-License-Identifier: Apache-2.0
"""Rigid bodies with compliant contact, driven hands and a gripper: smooth enough to differentiate
(docs/touch_tasks.md).
"""
