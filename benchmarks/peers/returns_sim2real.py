"""Our PPO on HalfCheetah-v5 for a time, in the configuration of `learn_sim2real.py`."""

import numpy as np
from learn_curve import Curve, arguments
from learn_sim2real import learner


def main() -> None:
    given = arguments()
    ppo = learner(256, given.num_threads, given.seed)
    hidden = ppo.observation_space.shape[0] - 17  # what only critics see, behind the id's own observation

    def act(observation: np.ndarray) -> np.ndarray:
        row = np.pad(observation.astype(np.float32), ((0, 0), (0, hidden)))
        return ppo.predict(row, deterministic=True)[0].clip(-1.0, 1.0)

    ppo.learn(10**12, callback=Curve(given.seconds, act))


if __name__ == "__main__":
    main()
