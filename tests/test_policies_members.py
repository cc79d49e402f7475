"""One policy for several members: common rows, reward sizes, balance, exact resume, and folding back."""

import pytest
import torch

import envs.tasks
import policies.training
import robots
from envs.make import make_worlds
from envs.observations import Term
from envs.randomization import preset
from policies.files import checkpoint
from policies.hyperparameters import Hyperparameters
from policies.members import names
from policies.members.common_row import CommonRow
from policies.members.fold import folded
from policies.members.learner import MemberPPO
from policies.members.return_scale import ReturnScale
from policies.members.training import MemberTraining
from policies.members.worlds import Member, MemberWorlds
from policies.skill import skill_of
from policies.threads import one_torch_thread
from policies.training import StoppedError

one_torch_thread()
NAMES = ("go1:velocity", "anymal_c:velocity")
NUM_ENVS = 4
ITERATION = 24 * NUM_ENVS * len(NAMES)
"""Environment steps of a rollout."""


@pytest.fixture(scope="module", autouse=True)
def _short():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(policies.training, "CURVE_EPISODES", 2)
        patch.setattr(policies.training, "CURVE_SECONDS", 0.1)
        yield


def some_worlds(*names: str) -> MemberWorlds:
    members = [Member.named(name) for name in names or NAMES]
    return MemberWorlds(members, num_envs=NUM_ENVS, randomization=preset("default"), seed=5, num_threads=1)


def a_training(file, num_iterations: int, should_stop=lambda: False, privileged=True, given=NAMES) -> MemberTraining:
    ppo = MemberPPO(some_worlds(*given), privileged=privileged, seed=5, policy_kwargs={"hidden": (16, 16)})
    steps = num_iterations * ITERATION
    return MemberTraining(ppo, steps, file, num_threads=1, curve_points=0, should_stop=should_stop)


def a_term(name: str, width: int, unit: str = "rad", offset: float = 0.0, scale: float = 1.0, measurable: bool = True):
    constants = {"offset": (offset,) * width, "scale": (scale,) * width}
    return Term(name=name, unit=unit, frame="joint", measurable=measurable, **constants)


WALKER = (
    a_term("gravity", 1, "1"),
    a_term("joint_pos", 2, offset=1.0, scale=2.0),
    a_term("speed", 1, "m/s", measurable=False),
)
ARM = (a_term("joint_pos", 3), a_term("goal", 1, "m"), a_term("speed", 1, "1", measurable=False))


def test_a_common_row_tells_channels_by_name_and_unit():
    row = CommonRow([WALKER, ARM])
    # 0, 1 marks | 2 gravity | 3, 4, 5 joint_pos | 6 goal | 7 speed [m/s] | 8 speed [1]
    assert row.width == 9
    assert row.columns[0].tolist() == [2, 3, 4, 7]
    assert row.columns[1].tolist() == [3, 4, 5, 6, 8]


def test_the_measurable_channels_of_all_members_come_before_the_privileged_ones():
    row = CommonRow([WALKER, ARM])
    assert row.measurable_width == 7
    assert row.layout(privileged=False).actor_width == 7
    assert row.layout(privileged=True).actor_width == 9


def test_a_lifted_row_is_dimensionless_marked_and_zero_where_the_member_has_nothing():
    row = CommonRow([WALKER, ARM])
    lifted = row.lift(0, torch.tensor([[0.5, 2.0, 3.0, 7.0]]))
    assert lifted.tolist() == [[1.0, 0.0, 0.5, 2.0, 4.0, 0.0, 0.0, 7.0, 0.0]]  # (2 − 1)·2 and (3 − 1)·2
    assert row.lift(1, torch.tensor([[1.0, 2.0, 3.0, 4.0, 5.0]])).tolist() == [[0, 1, 0, 1, 2, 3, 4, 0, 5]]


def test_rewards_are_divided_by_the_root_mean_square_of_their_members_returns():
    scale, never = ReturnScale(2, 1, gamma=0.5), torch.zeros(2, 1, dtype=torch.bool)
    # Both members: returns r, then 1.5·r; without their slow start r/0.5 = 2r and 1.5·r/0.75 = 2r. Size 2r.
    for _ in range(2):
        assert scale(torch.tensor([[1.0], [10.0]]), never).tolist() == [[0.5], [0.5]]
    assert scale.size.tolist() == [2.0, 20.0]


def test_an_ended_episode_has_nothing_left_of_its_returns():
    scale = ReturnScale(1, 2, gamma=0.5)
    scale(torch.tensor([[4.0, 4.0]]), torch.tensor([[True, False]]))
    scale(torch.zeros(1, 2), torch.zeros(1, 2, dtype=torch.bool))
    assert scale.returns.tolist() == [[0.0, 2.0]]  # 0.5·4


def test_a_member_without_rewards_is_left_as_it_is():
    scale = ReturnScale(1, 1, gamma=0.5)
    assert scale(torch.zeros(1, 1), torch.zeros(1, 1, dtype=torch.bool)).tolist() == [[0.0]]
    assert scale.size.tolist() == [1.0]


def test_each_member_does_what_it_would_do_alone():
    worlds = some_worlds()
    alone = [
        make_worlds(
            robots.get(robot),
            envs.tasks.get(task),
            num_envs=NUM_ENVS,
            randomization=preset("default"),
            seed=5 + index,
            num_threads=1,
        )
        for index, (robot, task) in enumerate(name.split(":") for name in NAMES)
    ]
    action = torch.randn(NUM_ENVS * 2, 12, generator=torch.Generator().manual_seed(0))
    for _ in range(5):
        together = worlds.step(action)
        steps = [each.step(own) for each, own in zip(alone, action.chunk(2), strict=True)]
        rows = torch.cat([worlds.row.lift(index, step.observation) for index, step in enumerate(steps)])
        assert torch.equal(together.observation, rows)
        unscaled = together.reward.unflatten(0, (2, -1)) * worlds.scale.size[:, None]
        assert torch.allclose(unscaled, torch.stack([step.reward for step in steps]), rtol=1e-5)


def test_the_last_observation_of_an_ended_world_is_its_own_and_the_others_keep_theirs():
    worlds = some_worlds()
    second = worlds.worlds[1]
    second.episode.steps = torch.tensor([second.episode_steps - 1, 0, 0, 0])
    step = worlds.step(torch.zeros(NUM_ENVS * 2, 12))
    assert step.truncated.nonzero()[:, 0].tolist() == [NUM_ENVS]  # the first world of the second member
    differs = (step.final_observation != step.observation).any(-1)
    assert differs[NUM_ENVS]
    assert differs.sum() == 1


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("go1:velocity",), "two or more different ROBOT:TASK, got go1:velocity"),
        (("go1:velocity", "go1:velocity"), "two or more different ROBOT:TASK"),
        (("go1:velocity", "g1:velocity"), "the legs of the joints differ: go1 has 12 joints .* g1 has"),
        (("go1", "a1:velocity"), "a member must be ROBOT:TASK, such as go1:velocity, got 'go1'"),
    ],
    ids=["one", "twice", "joints", "no task"],
)
def test_members_that_no_plain_network_can_serve_are_refused(given, message):
    with pytest.raises(ValueError, match=message):
        some_worlds(*given)


def test_a_body_told_by_many_numbers_has_a_folder_whose_name_is_not_too_long():
    long = "quadruped:" + ",".join(f"number_{index}=0.1234" for index in range(15)) + ":velocity"
    assert len(long) > 255
    assert len(names.folder(long)) == 120 + 1 + 12  # its beginning, a dash and a hash
    assert names.folder(long) != names.folder(long.replace("0.1234:velocity", "0.1235:velocity"))
    assert names.folder("go1:velocity") == "go1-velocity"


def test_the_robots_of_members_may_have_colons_in_their_names():
    assert names.parts("menagerie:unitree_go1:velocity") == ("menagerie:unitree_go1", "velocity")


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """A run without a break, and all it had come to when it ended; tests may step its worlds further."""
    run = a_training(tmp_path_factory.mktemp("straight") / "run.safetensors", 2)
    run.run()
    run.ended_with = everything(run)
    return run


@pytest.fixture(scope="module")
def several_tasks(tmp_path_factory):
    """A run of two tasks on one robot, with an actor of real sensors."""
    file = tmp_path_factory.mktemp("tasks") / "run.safetensors"
    run = a_training(file, 1, privileged=False, given=("go1:velocity", "go1:stand_up"))
    run.run()
    return run


def everything(run: MemberTraining) -> dict[str, torch.Tensor]:
    """Weights, moments, generators, worlds, sizes of rewards."""
    run.save()
    return checkpoint.load(run.file)[0]


def test_every_member_has_a_normalizer_of_its_own(several_tasks):
    normalizer, row = several_tasks.policy.normalizer, several_tasks.worlds.row
    assert [normalizer.of(member).count.item() for member in range(2)] == [24 * NUM_ENVS] * 2
    commands = row.columns[0][6:9]  # behind gravity and gyro
    assert torch.equal(normalizer.of(1).mean[commands], torch.zeros(3))  # who stands up is told nothing
    assert (normalizer.of(0).std[commands] > 0.02).all()


def test_marks_pass_the_normalizer_as_they_are(straight):
    rows = straight.ppo._last_obs
    normalized = straight.policy.normalizer(rows)
    assert torch.equal(normalized[:, :2], rows[:, :2])
    assert rows[:, :2].argmax(-1).tolist() == [0] * NUM_ENVS + [1] * NUM_ENVS


def test_advantages_are_standardized_member_by_member(straight):
    own = torch.tensor([1.0, 1.0, 3.0, 3.0])  # mean 2, deviation √(4/3)
    step = torch.cat([own, 100.0 * own - 50.0])
    standardized = straight.ppo._standardized(torch.cat([step, step]))
    expected = (own - 2.0) / own.repeat(2).std()
    assert torch.allclose(standardized, expected.repeat(4), atol=1e-6)


@pytest.mark.parametrize("members", ["straight", "several_tasks"])
def test_a_folded_member_acts_and_values_as_the_policy_of_all_does(members, request):
    run = request.getfixturevalue(members)
    for index, worlds in enumerate(run.worlds.worlds):
        size = float(run.worlds.scale.size[index])
        own = folded(run.policy, index, size)
        skill = skill_of(own, worlds, robot="go1", env_steps=0)
        act = skill.player()
        assert skill.card.privileged is (members == "straight")
        for _ in range(10):
            raw = worlds.observation()
            rows = run.worlds.row.lift(index, raw)
            with torch.no_grad():
                action = run.policy._predict(rows, deterministic=True)
                value = run.policy.predict_values(rows) * size
                assert (own.predict_values(raw) - value).abs().max() <= 1e-6 * size
            assert (act(raw) - action).abs().max() <= 1e-6
            assert action.abs().max() > 1e-3
            worlds.step(action)


def test_members_fold_into_different_policies(straight):
    raw = straight.worlds.worlds[0].observation()
    first, second = (folded(straight.policy, index, 1.0) for index in (0, 1))
    assert (first.predict_values(raw) - second.predict_values(raw)).abs().max() > 1e-3


def test_folding_leaves_the_global_generator_alone(straight):
    state = torch.get_rng_state()
    folded(straight.policy, 0, 1.0)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("num_asks", [0, 1], ids=["before the first step", "half-way"])
def test_a_stopped_run_goes_on_as_if_it_had_not_been(tmp_path, straight, num_asks):
    file, asked = tmp_path / "run.safetensors", iter(range(100))
    with pytest.raises(StoppedError):
        a_training(file, 2, lambda: next(asked) >= num_asks).run()
    resumed = a_training(file, 2)
    resumed.run()
    ours, theirs = everything(resumed), straight.ended_with
    assert ours.keys() == theirs.keys()
    assert [name for name in ours if not torch.equal(ours[name], theirs[name])] == []
    assert [point.episode_scores for point in resumed.curve] == [point.episode_scores for point in straight.curve]


def test_mirror_images_of_common_rows_are_refused():
    with pytest.raises(ValueError, match="mirror must be false for several members"):
        MemberPPO(some_worlds(), privileged=True, hyperparameters=Hyperparameters(mirror=True))


def test_a_checkpoint_of_other_members_is_refused(straight):
    ppo = MemberPPO(
        some_worlds("go1:velocity", "a1:velocity"), privileged=True, seed=5, policy_kwargs={"hidden": (16, 16)}
    )
    other = MemberTraining(ppo, ITERATION, straight.file, num_threads=1)
    with pytest.raises(ValueError, match="members must be"):
        other.run()


def test_the_curve_of_all_is_the_mean_of_the_members_curves(straight):
    curves = [straight.curve_of(member) for member in range(2)]
    assert [point.env_steps for point in curves[0]] == [0, 2 * ITERATION]
    for point, *own in zip(straight.curve, *curves, strict=True):
        assert point.score == pytest.approx(sum(each.score for each in own) / 2)
        assert [len(each.episode_scores) for each in own] == [2, 2]
