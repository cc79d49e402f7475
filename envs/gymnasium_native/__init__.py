"""Gymnasium's MuJoCo ids in this project's worlds: five natively on the batch engine, any other one by one.

`engine.make_engine` builds the worlds of an id, `vector.NativeVectorEnv` offers them to Gymnasium's users in float64,
`envs.gymnasium_worlds` to training in float32, and `robot.from_gymnasium` describes the id's machine.
"""
