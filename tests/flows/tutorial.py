"""The tutorial's flow of a single question as its readers have it: our words, its names and its request."""

from __future__ import annotations

from pathlib import Path

DAG = """\
inputs:
  input_data:
    type: string
    default: "Who founded Microsoft?"
outputs:
  answer:
    type: string
    reference: ${integrate_with_promptflow.output}
nodes:
- name: integrate_with_promptflow
  type: python
  source:
    type: code
    path: integrate_with_promptflow.py
  inputs:
    input_data: ${inputs.input_data}
"""
TOOL = """\
import requests
from config import AZURE_ML_API_KEY, AZURE_ML_ENDPOINT
from promptflow.core import tool


@tool
def ask(input_data: str) -> str:
    params = {"temperature": 0.7, "max_new_tokens": 8, "do_sample": True, "return_full_text": True}
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {AZURE_ML_API_KEY}"}
    body = {"input_data": [input_data], "params": params}
    response = requests.post(AZURE_ML_ENDPOINT, json=body, headers=headers)
    response.raise_for_status()
    return response.json()[0]
"""


def write(folder: Path, endpoint: str, key: str) -> Path:
    """Write the flow for an endpoint; returns its folder."""
    flow = folder / "finetune-phi"
    flow.mkdir()
    (flow / "flow.dag.yml").write_text(DAG, encoding="utf-8")
    (flow / "integrate_with_promptflow.py").write_text(TOOL, encoding="utf-8")
    config = f'AZURE_ML_ENDPOINT = "{endpoint}"\nAZURE_ML_API_KEY = "{key}"\n'
    (flow / "config.py").write_text(config, encoding="utf-8")
    return flow
