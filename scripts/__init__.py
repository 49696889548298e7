# SPDX-License-Identifier: Apache-2.0
"""The command line, one module per subcommand; installed as ``simenv.scripts``."""
