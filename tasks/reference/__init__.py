# SPDX-License-Identifier: Apache-2.0
"""Reference tasks of the field, in their usual definitions: for comparison of speed and of learning."""
