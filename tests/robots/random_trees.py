# SPDX-License-Identifier: Apache-2.0
"""Random trees of joints of every kind, and Pinocchio's model of a tree, as an oracle."""

from types import SimpleNamespace

import numpy as np

from simenv.physics.bodies.table import Table, table
from simenv.physics.bodies.tree import Inertial, Joint, Link, Tree

MOVING = ("revolute", "prismatic", "ball", "planar")


def unit(rng: np.random.Generator, size: int) -> tuple:
    """A random unit vector or quaternion."""
    value = rng.normal(size=size)
    return tuple(value / np.linalg.norm(value))


def random_inertial(rng: np.random.Generator) -> Inertial:
    """Of a cloud of four points, so that it can be."""
    points, masses = 0.3 * rng.normal(size=(4, 3)), rng.uniform(0.2, 1.0, 4)
    centre = masses @ points / masses.sum()
    arms = points - centre
    inertia = sum(m * (a @ a * np.eye(3) - np.outer(a, a)) for m, a in zip(masses, arms, strict=True))
    return Inertial(masses.sum(), tuple(centre), tuple(map(tuple, 0.5 * (inertia + inertia.T))))


def random_tree(seed: int, links: int = 7, floating: bool = False, mimic: bool = False) -> Tree:
    """A tree with a link fixed to another among its links."""
    rng = np.random.default_rng(seed)
    made: list[Link] = []
    for index in range(links):
        kind = str(rng.choice([*MOVING, "fixed"] if index else MOVING))
        place = {"position": tuple(0.3 * rng.normal(size=3)), "quaternion": unit(rng, 4)}
        parent = f"link{rng.integers(max(index - 3, 0), index)}" if index else None
        if floating and not index:
            kind, place = "free", {}
        follows = None
        if mimic and kind in ("revolute", "prismatic"):
            from simenv.physics.bodies.tree import Mimic

            leaders = [e.joint.name for e in made if e.joint.kind in ("revolute", "prismatic") and not e.joint.mimic]
            if leaders and rng.random() < 0.6:
                follows = Mimic(str(rng.choice(leaders)), float(rng.uniform(-2, 2)), float(rng.normal()))
        motor = 0.0 if kind == "free" else float(rng.uniform(0.0, 0.1))
        joint = Joint(f"joint{index}", kind, axis=unit(rng, 3), armature=motor, mimic=follows, **place)
        made.append(Link(f"link{index}", parent, joint, random_inertial(rng)))
    return Tree(f"random {seed}", tuple(made))


def tree_of(*kinds: str, seed: int = 0) -> Tree:
    """A chain of joints of these kinds."""
    rng = np.random.default_rng(seed)
    made = []
    for index, kind in enumerate(kinds):
        place = {"position": tuple(0.3 * rng.normal(size=3)), "quaternion": unit(rng, 4)}
        place = {} if kind == "free" else place
        joint = Joint(f"joint{index}", kind, axis=unit(rng, 3), armature=0.01 * index, **place)
        made.append(Link(f"link{index}", f"link{index - 1}" if index else None, joint, random_inertial(rng)))
    return Tree("-".join(kinds), tuple(made))


def random_state(t: Table, rng: np.random.Generator) -> SimpleNamespace:
    """Positions (nq,), rates, accelerations and torques (nv,) of all joints, and wrenches on moving links (L, 6)."""
    nv = len(t.rates)
    q = rng.normal(size=t.positions)
    for index, kind in enumerate(t.kind):
        a = t.q_start[index] + (3 if kind == 4 else 0)
        if kind in (3, 4):
            q[a : a + 4] /= np.linalg.norm(q[a : a + 4])
    v, acceleration, tau = rng.normal(size=(3, nv))
    return SimpleNamespace(q=q, v=v, acceleration=acceleration, tau=tau, wrench=rng.normal(size=(len(t), 6)))


class Pinocchio:
    """A tree in Pinocchio, at a state; values and derivatives in this project's coordinates.

    Its rates differ for free joints, whose twist it has in the link's axes; planar joints are three joints.
    """

    def __init__(self, tree: Tree, gravity: tuple = (0.0, 0.0, -9.81)):
        import pinocchio as pin

        self.pin, self.table = pin, table(tree)
        t, self.model = self.table, pin.Model()
        self.model.gravity.linear = np.array(gravity)
        self.joints: list[int] = []
        nothing = pin.SE3.Identity()
        for index, kind in enumerate(t.kind):
            up = self.joints[t.parent[index]] if t.parent[index] >= 0 else 0
            place = self._pose(np.array([*t.place[index], *t.turn[index]]))
            axis = t.axis[index]
            if kind == 0:
                joint = self.model.addJoint(up, pin.JointModelRevoluteUnaligned(axis), place, t.joints[index])
            elif kind == 1:
                joint = self.model.addJoint(up, pin.JointModelPrismaticUnaligned(axis), place, t.joints[index])
            elif kind == 2:
                along = np.eye(3)[1 if abs(axis[0]) > 0.9 else 0]
                along = along - along @ axis * axis
                along /= np.linalg.norm(along)
                name = t.joints[index]
                joint = self.model.addJoint(up, pin.JointModelPrismaticUnaligned(along), place, name + "x")
                across = pin.JointModelPrismaticUnaligned(np.cross(axis, along))
                joint = self.model.addJoint(joint, across, nothing, name + "y")
                joint = self.model.addJoint(joint, pin.JointModelRevoluteUnaligned(axis), nothing, name)
            elif kind == 3:
                joint = self.model.addJoint(up, pin.JointModelSpherical(), place, t.joints[index])
            else:
                joint = self.model.addJoint(up, pin.JointModelFreeFlyer(), place, t.joints[index])
            self.joints.append(joint)
            self.model.appendBodyToJoint(joint, self._inertia(t.inertial[index]), nothing)
        self.model.armature = t.armature.copy()
        self.data = self.model.createData()

    def _pose(self, values: np.ndarray):
        return self.pin.XYZQUATToSE3(values)

    def _inertia(self, ten: np.ndarray):
        centre = ten[1:4] / ten[0]
        xx, yy, zz, xy, xz, yz = ten[4:]
        about = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
        return self.pin.Inertia(
            ten[0], centre, about - ten[0] * (centre @ centre * np.eye(3) - np.outer(centre, centre))
        )

    def _turns(self, q: np.ndarray) -> np.ndarray:
        """(nv, nv): this project's rates from Pinocchio's."""
        turn = np.eye(len(self.table.rates))
        for index, kind in enumerate(self.table.kind):
            if kind == 4:
                k, a = self.table.v_start[index], self.table.q_start[index]
                R = self._pose(q[a : a + 7]).rotation
                turn[k : k + 3, k : k + 3] = turn[k + 3 : k + 6, k + 3 : k + 6] = R
        return turn

    def _wrenches(self, q: np.ndarray, wrench: np.ndarray):
        self.pin.forwardKinematics(self.model, self.data, q)
        out = self.pin.StdVec_Force()
        for _ in range(self.model.njoints):
            out.append(self.pin.Force.Zero())
        for index, joint in enumerate(self.joints):
            R = self.data.oMi[joint].rotation
            out[joint] = self.pin.Force(R.T @ wrench[index, :3], R.T @ wrench[index, 3:])
        return out

    def _twisted(self, q: np.ndarray, v: np.ndarray) -> np.ndarray:
        """What turns add to accelerations: of a free joint R (w x v) in the link's axes."""
        extra = np.zeros_like(v)
        for index, kind in enumerate(self.table.kind):
            if kind == 4:
                k = self.table.v_start[index]
                extra[k : k + 3] = np.cross(v[k + 3 : k + 6], v[k : k + 3])
        return extra

    def inverse(self, s: SimpleNamespace, acceleration: np.ndarray) -> np.ndarray:
        """Torques (nv,)."""
        turn = self._turns(s.q)
        own = turn.T @ (acceleration - self._twisted(s.q, s.v))
        tau = self.pin.rnea(self.model, self.data, s.q, turn.T @ s.v, own, self._wrenches(s.q, s.wrench))
        return turn @ tau

    def forward(self, s: SimpleNamespace) -> np.ndarray:
        """Accelerations (nv,)."""
        turn = self._turns(s.q)
        wrench = self._wrenches(s.q, s.wrench)
        own = self.pin.aba(self.model, self.data, s.q, turn.T @ s.v, turn.T @ s.tau, wrench)
        return turn @ own + self._twisted(s.q, s.v)

    def derivatives(self, s: SimpleNamespace, acceleration: np.ndarray) -> list[np.ndarray]:
        """(nv, nv) each, in its own coordinates: of forward dynamics with respect to positions, rates and torques, and
        of inverse dynamics with respect to positions, rates and accelerations; without wrenches.
        """
        pin, model, data = self.pin, self.model, self.data
        pin.computeABADerivatives(model, data, s.q, s.v, s.tau)
        out = [data.ddq_dq.copy(), data.ddq_dv.copy(), np.triu(data.Minv) + np.triu(data.Minv, 1).T]
        pin.computeRNEADerivatives(model, data, s.q, s.v, acceleration)
        return [*out, data.dtau_dq.copy(), data.dtau_dv.copy(), np.triu(data.M) + np.triu(data.M, 1).T]

    def regressor(self, s: SimpleNamespace, acceleration: np.ndarray) -> np.ndarray:
        """(nv, 10 L), of a tree that does not float: mass, mass times centre, xx, xy, yy, xz, yz, zz of every link."""
        found = self.pin.computeJointTorqueRegressor(self.model, self.data, s.q, s.v, acceleration)
        return np.concatenate([found[:, 10 * (joint - 1) : 10 * joint] for joint in self.joints], 1)

    def mass_matrix(self, q: np.ndarray) -> np.ndarray:
        """(nv, nv)."""
        # column by column: its composite algorithm wants subtrees without gaps in their order
        still, turn = np.zeros(self.model.nv), self._turns(q)
        weight = self.pin.rnea(self.model, self.data, q, still, still)
        units = np.eye(self.model.nv)
        columns = [self.pin.rnea(self.model, self.data, q, still, unit) - weight for unit in units]
        return turn @ np.array(columns).T @ turn.T

    def poses(self, q: np.ndarray) -> np.ndarray:
        """Places (L, 3) and rotation matrices (L, 3, 3)."""
        self.pin.forwardKinematics(self.model, self.data, q)
        frames = [self.data.oMi[joint] for joint in self.joints]
        return np.array([f.translation for f in frames]), np.array([f.rotation for f in frames])

    def jacobian(self, q: np.ndarray, index: int) -> np.ndarray:
        """(6, nv) of the origin of a moving link, world axes."""
        self.pin.forwardKinematics(self.model, self.data, q)
        J = self.pin.computeJointJacobian(self.model, self.data, q, self.joints[index])
        return np.kron(np.eye(2), self.data.oMi[self.joints[index]].rotation) @ J @ self._turns(q).T
