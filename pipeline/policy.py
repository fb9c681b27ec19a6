"""The policy of a person, `[associate.TAG]` of the settings, put into the rule of that tag. Pure."""

from dataclasses import replace

from pipeline.config import AssociateTable
from pipeline.rules import DAY_S, Rule
from pipeline.shelf import Candidate


def rule_with(rule: Rule, policy: AssociateTable | None) -> Rule:
    """Give the rule of a tag as the settings want it.

    Parameters
    ----------
    rule : Rule
        As the tables have it.
    policy : AssociateTable or None
        `[associate.TAG]`; None leaves the rule as it is.

    Returns
    -------
    Rule
        With other windows, properties that must agree, or levels that are accepted. Where a calibration is
        named, no distance in time and no intervention speaks against it: the properties still have to agree,
        as the recipes would refuse it.
    """
    if policy is None:
        return rule
    if policy.levels_d is not None:
        rule = replace(rule, windows_s=tuple(int(days * DAY_S) for days in policy.levels_d))
    if policy.window_d is not None:
        window = int(policy.window_d * DAY_S)
        windows = [w if w is not None and w < window else window for w in rule.windows_s[:-1]]
        rule = replace(rule, windows_s=(*windows, window))
    if policy.agree is not None:
        rule = replace(rule, agree=tuple(policy.agree))
    if policy.max_level is not None:
        rule = replace(rule, max_level=policy.max_level)
    if policy.cross_interventions:
        rule = replace(rule, may_cross=True)
    if policy.use:
        rule = replace(rule, is_named=True, may_cross=True, max_level=None)
    return rule


def is_named(policy: AssociateTable | None, candidate: Candidate) -> bool:
    """Tell whether a candidate is the one that the settings name; all are if they name none."""
    if policy is None or not policy.use:
        return True
    return policy.use in (candidate.name, str(candidate.frame.path), candidate.frame.arcfile)
