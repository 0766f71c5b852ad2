"""The run-time check of the shapes in signatures, for tests alone: an int may stand where a float is declared."""

from beartype import BeartypeConf, beartype

checked = beartype(conf=BeartypeConf(is_pep484_tower=True))
