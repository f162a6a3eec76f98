"""From a job file to a plan, or to everything that is wrong with it."""
