"""What a sysadmin would trip over on a host: facts, and pure verdicts on them (`lastmile doctor`)."""
