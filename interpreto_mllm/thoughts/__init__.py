"""Answers with a reasoning part: where the thoughts are, held fixed as features, or thought anew."""
