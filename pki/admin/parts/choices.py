"""A choice of few things, each with a sentence on what it means."""

from collections.abc import Mapping
from typing import Any

from django import forms
from django.template.loader import render_to_string
from django.utils.safestring import SafeString


class ExplainedChoice(forms.RadioSelect):
    """Radio buttons; `sentences` has one for each value."""

    def __init__(self, label: str, sentences: Mapping[str, str]) -> None:
        super().__init__()
        self._label, self._sentences = label, sentences

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        context = self.get_context(name, value, attrs)
        context["label"] = self._label
        for _, options, _ in context["widget"]["optgroups"]:
            for option in options:
                option["sentence"] = self._sentences[option["value"]]
        # Of the project's templates: the form renderer knows those of installed apps alone.
        return render_to_string("console/parts/choices.html", context)
