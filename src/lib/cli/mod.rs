//! What all seven tools share: arguments, logging, progress, shards, exit status.
