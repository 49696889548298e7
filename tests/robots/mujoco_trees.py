# SPDX-License-Identifier: Apache-2.0
"""MuJoCo's model of a tree, as an oracle, from MJCF text that is written here."""

from types import SimpleNamespace

import mujoco
import numpy as np

from simenv.physics.bodies.table import table
from simenv.physics.bodies.tree import Link, Tree
from simenv.robots.poses import matrix

HEAD = '<compiler angle="radian" inertiafromgeom="false"/>\n<option gravity="{} {} {}"/>\n'


def words(values) -> str:
    """Numbers that are read as they are."""
    return " ".join(repr(float(value)) for value in values)


def plane(axis) -> tuple[np.ndarray, np.ndarray]:
    """The two axes of a plane by its normal, as `simenv.physics.bodies.tree.KINDS` has them."""
    along = np.eye(3)[1 if abs(axis[0]) > 0.9 else 0]
    along = along - along @ axis * axis
    along /= np.linalg.norm(along)
    return along, np.cross(axis, along)


def joints(link: Link) -> str:
    """The elements of a link's joint."""
    joint, motor = link.joint, f'armature="{words([link.joint.armature])}"'
    kinds = {"revolute": "hinge", "prismatic": "slide", "ball": "ball", "free": "free"}
    if joint.kind == "fixed":
        return ""
    if joint.kind == "planar":
        along, across = plane(np.array(joint.axis))
        return "".join(
            f'<joint name="{joint.name}{end}" type="{kind}" axis="{words(axis)}" {motor}/>'
            for end, kind, axis in (("x", "slide", along), ("y", "slide", across), ("", "hinge", joint.axis))
        )
    axis = f'axis="{words(joint.axis)}"' if joint.kind in ("revolute", "prismatic") else ""
    return f'<joint name="{joint.name}" type="{kinds[joint.kind]}" {axis} {motor}/>'


def mjcf(tree: Tree, gravity=(0.0, 0.0, -9.81)) -> str:
    """The text of a tree."""

    def body(link: Link) -> str:
        x, y, z, w = link.joint.quaternion
        text = f'<body name="{link.name}" pos="{words(link.joint.position)}" quat="{words((w, x, y, z))}">'
        text += joints(link)
        if link.inertial is not None:
            i = link.inertial.inertia
            six = (i[0][0], i[1][1], i[2][2], i[0][1], i[0][2], i[1][2])
            text += f'<inertial pos="{words(link.inertial.centre)}" mass="{words([link.inertial.mass])}" '
            text += f'fullinertia="{words(six)}"/>'
        return text + "\n" + "".join(body(each) for each in tree.links if each.parent == link.name) + "</body>\n"

    roots = "".join(body(link) for link in tree.links if link.parent is None)
    return f"<mujoco model='{tree.name}'>\n{HEAD.format(*gravity)}<worldbody>\n{roots}</worldbody>\n</mujoco>"


class MuJoCo:
    """A tree in MuJoCo; values in this project's coordinates.

    Its rates differ for free joints, whose angular velocity it has in the link's axes; its joints stand in the order of
    its bodies, depth first.
    """

    def __init__(self, tree: Tree, gravity=(0.0, 0.0, -9.81)):
        self.table = t = table(tree)
        self.model = mujoco.MjModel.from_xml_string(mjcf(tree, gravity))
        self.data = mujoco.MjData(self.model)
        places = {self.model.joint(j).name: j for j in range(self.model.njnt)}
        self.positions, self.rates = [], []  # numbers of this project's in MuJoCo's
        for name, kind, link in zip(t.joints, t.kind, t.links, strict=True):
            for joint in (f"{name}x", f"{name}y", name) if kind == 2 else (name,):
                a, k = self.model.jnt_qposadr[places[joint]], self.model.jnt_dofadr[places[joint]]
                quaternion = [1, 2, 3, 0]
                kinds = {3: [a + i for i in quaternion], 4: [a, a + 1, a + 2, *(a + 3 + i for i in quaternion)]}
                self.positions += kinds.get(kind, [a])
                self.rates += range(k, k + {3: 3, 4: 6}.get(kind, 1))
            assert self.model.body(link).jntnum[0] >= 1

    def _turns(self, q: np.ndarray) -> np.ndarray:
        """(nv, nv): this project's rates from MuJoCo's, in this project's order."""
        turn = np.eye(len(self.table.rates))
        for kind, a, k in zip(self.table.kind, self.table.q_start, self.table.v_start, strict=False):
            if kind == 4:
                turn[k + 3 : k + 6, k + 3 : k + 6] = matrix(q[a + 3 : a + 7])
        return turn

    def at(self, s: SimpleNamespace) -> SimpleNamespace:
        """Accelerations and bias (nv,), inertia (nv, nv), and places of the moving links (L, 3), at a state with
        torques and wrenches about the links' origins. Bias has no wrenches in it.
        """
        m, d, turn = self.model, self.data, self._turns(s.q)
        mujoco.mj_resetData(m, d)
        d.qpos[self.positions] = s.q
        d.qvel[self.rates] = turn.T @ s.v
        d.qfrc_applied[self.rates] = turn.T @ s.tau
        mujoco.mj_forward(m, d)
        for link, wrench in zip(self.table.links, s.wrench, strict=True):
            b = m.body(link).id
            arm = d.xipos[b] - d.xpos[b]
            d.xfrc_applied[b] = [*wrench[:3], *(wrench[3:] - np.cross(arm, wrench[:3]))]
        mujoco.mj_forward(m, d)
        full = np.zeros((m.nv, m.nv))
        for column, unit in zip(full, np.eye(m.nv), strict=True):  # which is symmetric
            mujoco.mj_mulM(m, d, column, unit)
        bodies = [m.body(link).id for link in self.table.links]
        return SimpleNamespace(
            acceleration=turn @ d.qacc[self.rates], bias=turn @ d.qfrc_bias[self.rates],
            inertia=turn @ full[np.ix_(self.rates, self.rates)] @ turn.T, places=d.xpos[bodies].copy(),
        )  # fmt: skip
