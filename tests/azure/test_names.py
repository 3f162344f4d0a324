"""Names that Azure takes, and those that phichat makes."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phichat.backends.azureml import names


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("resource_group", "rg-finetune.phi_(1)"),
        ("workspace", "finetunephi"),
        ("identity", "finetune-identity"),
        ("location", "eastus2"),
        ("endpoint", "phi-endpoint"),
        ("compute", "gpu-nc24s-a100-v4"),
        ("subscription_id", "0b1f6471-1bf0-4dda-aec3-cb9272f09590"),
        ("tenant_id", "contoso.onmicrosoft.com"),
    ],
)
def test_a_legal_name_has_no_problem(kind: str, name: str) -> None:
    assert names.problem(kind, name) == ""


@pytest.mark.parametrize(
    ("kind", "name", "close"),
    [
        ("workspace", "finetune phi-implantação", "finetune-phi-implantacao"),
        ("resource_group", "Grupo de Teste", "Grupo-de-Teste"),
        ("resource_group", "group.", "group"),
        ("location", "East US 2", "eastus2"),
        ("compute", "gpu-1", ""),
        ("workspace", "ab", ""),
        ("endpoint", "my_endpoint", "my-endpoint"),
    ],
)
def test_an_illegal_name_is_told_with_one_that_would_do(kind: str, name: str, close: str) -> None:
    told = names.problem(kind, name)
    assert repr(name) in told and kind in told
    assert (f"{close!r} would do" in told) == bool(close)
    assert not close or names.problem(kind, close) == ""


@given(st.from_regex(names.RULES["workspace"].pattern, fullmatch=True))
def test_what_is_made_beside_a_workspace_has_legal_names(workspace: str) -> None:
    made = names.beside("0b1f6471", "group", workspace)
    assert re.fullmatch(r"[a-z0-9]{3,24}", made.storage)
    assert re.fullmatch(r"[a-z][a-z0-9-]{1,22}[a-z0-9]", made.vault)
    assert re.fullmatch(r"[a-zA-Z0-9]{5,50}", made.registry)
    assert made == names.beside("0B1F6471", "GROUP", workspace)


def test_two_workspaces_have_nothing_in_common() -> None:
    one, other = names.beside("s", "g", "phichat"), names.beside("s2", "g", "phichat")
    assert one.storage != other.storage and one.vault != other.vault and one.registry != other.registry


def test_a_role_is_assigned_under_one_guid() -> None:
    one = names.assignment_name("/subscriptions/S/resourceGroups/G", "p", "AcrPull")
    assert one == names.assignment_name("/subscriptions/s/resourcegroups/g", "P", "AcrPull")
    assert one != names.assignment_name("/subscriptions/S/resourceGroups/G", "p", "Contributor")
