"""Sections on what was learned: training, distillation."""

from sim2real.report import formats, plots
from sim2real.report.canvas import MUTED
from sim2real.report.html import Html, facts, tag
from sim2real.report.results import Result
from sim2real.report.story import Story


def training(result: Result, story: Story) -> Html:
    """A policy that was trained on one robot."""
    robot, privileged = story.robot(result), result.metrics.get("privileged") is True
    who = "Teacher" if privileged else "Training"
    sees = (
        "It sees what no hardware measures (true velocity, contacts, friction): it teaches, and is never deployed."
        if privileged
        else "It sees only what the robot's own sensors measure."
    )
    rows = [
        ("Environment steps", formats.count(result.number("env_steps"))),
        ("Time", formats.duration(result.number("seconds") or result.seconds)),
        ("Steps per second, learning included", formats.count(result.number("env_steps_per_s"))),
        ("Times a world diverged and began anew", formats.count(result.number("diverged"))),
    ]
    parts = [tag("h2", f"{who}: {robot}"), tag("p", f"PPO, randomized physics. {sees}"), _curve(result, story)]
    return tag("section", *parts, facts([*score_rows(result), *rows]))


def distillation(result: Result, story: Story) -> Html:
    """A student beside its teacher."""
    robot, colour = story.robot(result), story.colour(story.robot(result))
    teacher, score = result.number("teacher_score"), result.number("score")
    abroad = result.text("teacher_robot")
    does = f"in the body of {robot} what the policy of {abroad} would do there" if abroad else "what its teacher does"
    parts = [
        tag("h2", f"Student: {robot}"),
        tag("p", f"The student does {does}, from {_reads(result, robot)} (DAgger)."),
    ]
    if teacher is not None and score is not None:
        knows = f"on {abroad}, its own robot" if abroad else "sees the simulator's truth"
        rungs = [
            plots.Rung(label="teacher", note=knows, score=teacher, interval=None, colour=MUTED),
            *_untaught(result, robot, story.no_op(robot)),
            plots.Rung(
                label="student",
                note="sees real sensors",
                score=score,
                interval=result.interval("score_ci"),
                colour=colour,
                no_op=story.no_op(robot),
            ),
        ]
        parts.append(tag("figure", plots.score_ladder(rungs)))
    rows = [("Of the teacher's score", formats.percent(result.number("ratio")))]
    if abroad:
        gain = formats.percent(result.number("normalized_ratio"))
        rows += [(f"Of the teacher's gain over standing still, each on its own robot ({abroad}, {robot})", gain)]
    rows += [*_hardships(result), *score_rows(result)]
    rows += [
        ("Environment steps", formats.count(result.number("env_steps"))),
        ("Time", formats.duration(result.number("seconds"))),
    ]
    return tag("section", *parts, facts(rows), _losses(result))


def _untaught(result: Result, robot: str, no_op: float | None) -> list[plots.Rung]:
    """The policy of another robot as it is, where it taught one."""
    score = result.number("zero_shot")
    if score is None:
        return []
    return [
        plots.Rung(
            label="teacher, there",
            note=f"its policy on {robot} as it is",
            score=score,
            interval=result.interval("zero_shot_ci"),
            colour=MUTED,
            no_op=no_op,
        )
    ]


def _reads(result: Result, robot: str) -> str:
    history = result.number("history")
    if result.number("memory"):
        return f"sensors that {robot} really has and its memory of what they said before"
    return f"the last {history:.0f} readings of sensors that {robot} really has" if history else "real sensors alone"


def _hardships(result: Result) -> list[tuple[str, str]]:
    """What is left of the score on randomized robots, and of robots that change in mid-episode."""
    changed = result.mapping("adaptation")
    shares = [
        ("Of the teacher's score, both on randomized robots", result.mapping("randomized")),
        ("Of its own score, from 5 s after a sudden payload on", changed.get("payload")),
        ("Of its own score, from 5 s after a motor weakened on", changed.get("motor")),
    ]
    return [(title, formats.percent(found.get("ratio"))) for title, found in shares if found]


def score_rows(result: Result) -> list[tuple[str, str]]:
    """What an evaluation says, for a table of facts."""
    falls, episodes = result.number("falls"), result.number("episodes")
    fallen = formats.MISSING if falls is None else f"{falls:.0f}" + (f" of {episodes:.0f} episodes" if episodes else "")
    return [
        ("Velocity score", _with(result.number("score"), result.interval("score_ci"))),
        ("Standing still", formats.score(result.number("no_op"))),
        ("Worst quarter of the episodes (CVaR 25 %)", formats.score(result.number("cvar25"))),
        ("Yaw score", formats.score(result.number("yaw_score"))),
        ("Yaw score, standing still", formats.score(result.number("yaw_no_op"))),
        ("Falls", fallen),
        ("Cost of transport", formats.score(result.number("cost_of_transport"))),
        ("Action rate, in units of action a second", formats.score(result.number("action_rate"))),
    ]


def _with(value: float | None, pair: tuple[float, float] | None) -> str:
    return formats.score(value) + (f" ({formats.interval(pair)})" if pair else "")


def _curve(result: Result, story: Story) -> Html:
    curve, no_op = result.curve(), result.number("no_op")
    if curve is None:
        return Html("")
    levels = [] if no_op is None else [plots.Level(label=f"standing still {formats.score(no_op)}", score=no_op)]
    colour = story.colour(story.robot(result))
    lines = [plots.Line(label="in training", curve=curve, colour=colour)]
    score = result.number("score")
    final = None if score is None else (score, result.interval("score_ci"))
    caption = (
        f"Line: the same {curve.num_episodes} short episodes all along, with a 95 % bootstrap band over them. Dot and "
        "dashed line: the full evaluation at the end, which all other numbers are from."
    )
    drawn = plots.learning_curves(lines, levels=levels, final=final)
    return tag("figure", drawn, tag("figcaption", caption))


def _losses(result: Result) -> Html:
    points = result.metrics.get("losses") or result.metrics.get("curve") or []
    pairs = [(point.get("env_steps"), point.get("loss")) for point in points if isinstance(point, dict)]
    known = [(float(steps), float(loss)) for steps, loss in pairs if steps is not None and loss]
    if len(known) < 3:
        return Html("")
    caption = tag("figcaption", "How far the student's actions are from its teacher's while it learns.")
    return tag("figure", plots.loss_curve(*zip(*known, strict=True)), caption)


def other(result: Result, story: Story) -> Html:
    """A kind of result this report knows nothing about: its plain numbers and words."""
    plain = [
        (name, f"{value:g}" if isinstance(value, float) else str(value))
        for name, value in result.metrics.items()
        if isinstance(value, (int, float, str))
    ]
    return tag("section", tag("h2", f"{result.kind.capitalize()}: {result.name}"), facts(plain))
