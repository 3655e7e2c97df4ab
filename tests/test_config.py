"""Configs as text, which checkpoints and published folders hold."""

import threading

from hiera_mm.checks.fault import class_of
from hiera_mm.config import in_scope, override
from hiera_mm.errors import UserError
from hiera_mm.inference.closed_config import config_from_text

import pytest
from mmengine.config import Config, ConfigDict
from mmengine.registry import DefaultScope
from yapf.yapflib import yapf_api

from tests.helpers import CONFIGS, read
from tests.remembered import lay_out


@pytest.mark.parametrize('name', CONFIGS)
def test_what_mmengine_prints_of_a_config_is_read(name):
    config = read(name)
    assert config_from_text(config.pretty_text, name).to_dict() == config.to_dict()


def test_the_layout_of_what_mmengine_prints_changes_nothing(monkeypatch):
    monkeypatch.setattr(yapf_api, 'FormatCode', lay_out)
    config = read('ava_hiera_b.py')
    assert config.pretty_text.count('\n') > 2 * len(config)
    assert config_from_text(config.pretty_text, 'file').to_dict() == config.to_dict()


def test_keys_that_are_no_names_are_read_wherever_they_stand():
    """As ``custom_keys`` of the optimizer have them, which mmengine prints as ``dict({...})``."""
    given = dict(keys={'backbone.norm': dict(decay_mult=0.0), 'a-b': [dict({'1': 2})]}, empty=dict())
    assert config_from_text(Config(dict(top=given)).pretty_text, 'file').top == given


@pytest.mark.parametrize('text', ['a = dict(open("x"))', 'a = dict({}, {})', 'a = dict(**{})', 'a = open("x")', 'a ='])
def test_nothing_else_is_read(text):
    with pytest.raises(UserError, match="inside 'file' is not plain data"):
        config_from_text(text, 'file')


@pytest.mark.parametrize('option', ['a=dict(b=1,c=2)', 'a=[1,(2]'])
def test_options_that_hold_a_dict_are_refused(option):
    with pytest.raises(UserError, match='set a dict key by key'):
        override(Config(dict(a=1)), [option], 'file')


def test_types_are_looked_up_in_one_scope_at_a_time():
    """mmengine keeps the scope for the whole process, so a thread that looks something up waits for another that
    builds a model."""
    found = []
    with in_scope(Config(dict(default_scope='mmseg'))):
        part = ConfigDict(type='CocoDataset')
        other = threading.Thread(target=lambda: found.append(class_of(part, 'mmdet')))
        other.start()
        other.join(0.3)
        assert other.is_alive() and DefaultScope.get_current_instance().scope_name == 'mmseg'
    other.join(10)
    assert found[0].__name__ == 'CocoDataset'
