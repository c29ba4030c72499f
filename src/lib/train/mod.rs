//! Training: data sets, objectives, schedule, loop, checkpoints, metrics.
