"""Arrays between processes of one machine: written once, read where they lie.

The process that asks makes memory (`Segment`), lends it out a round of questions at a time
(`Arena`, `Area`) and sends handles; the one that answers maps what a handle names (`Mapped`),
reads the points and writes its answer there. Devices reach that memory through `Transfer`.
"""
