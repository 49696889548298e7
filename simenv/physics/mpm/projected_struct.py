# SPDX-License-Identifier: Apache-2.0
"""Constants of the bodies that the grid moves, as kernels read them."""

import warp as wp

from simenv._exclusive import built_once
from simenv.physics.mpm.stencil import stencil_functions


@built_once
def projected_struct(real):
    """Warp struct of what is constant: `bodies` per world, their `members` particles in `blocks`."""
    st = stencil_functions(real)
    vec3, mat33 = st.vec3, st.mat33

    @wp.struct
    class Bodies:
        count: wp.int32
        particles: wp.int32  # of a world, all of them
        members: wp.int32  # those that belong to bodies
        blocks: wp.int32
        box: wp.int32  # nodes along an edge of the box of grid nodes that holds a body
        member: wp.array(dtype=wp.int32)  # particle of each member
        owner: wp.array(dtype=wp.int32)  # body of each member
        rest: wp.array(dtype=vec3)  # place of each member from the centre of mass, in the body [m]
        block_first: wp.array(dtype=wp.int32)  # first member of each block, and the end
        body_block: wp.array(dtype=wp.int32)  # first block of each body, and the end
        volume: wp.array(dtype=real)  # of each body [m^3]
        axes: wp.array(dtype=mat33)  # principal axes, columns
        moments: wp.array(dtype=vec3)  # principal moments per unit density [m^5]
        reach: wp.array(dtype=real)  # largest distance of a member from the centre [m]

    return Bodies
