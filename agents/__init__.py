# SPDX-License-Identifier: Apache-2.0
"""Trajectory optimisers and learning algorithms, one file each; installed as ``simenv.agents``.

``trajectory`` (gradients), ``cma_es`` and ``random_search`` share one interface, ``optimize(env, config, callback)``,
one action parameterisation (``parameters``) and one cost meter (``problem``). ``sb3`` trains policies with PPO and SAC.
Import the module you need: none is loaded from here.
"""
