"""Configuration of the documentation site. ``make docs`` builds it into ``site/``."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS / "extensions"))

# Autodoc imports the operators, and Airflow writes a configuration file when it is imported.
os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="airflow-docs-")
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"

project = "airflow-provider-aep"
project_copyright = "the authors of airflow-provider-aep"
extensions = ["myst_parser", "sphinx.ext.autodoc", "code_sources", "diagrams"]
exclude_patterns = ["extensions"]
nitpicky = False
default_role = "code"

myst_enable_extensions = ["deflist", "colon_fence"]
myst_heading_anchors = 4
myst_fence_as_directive = ["mermaid"]

autodoc_typehints = "description"
autodoc_typehints_description_target = "documented_params"
autodoc_member_order = "bysource"
autodoc_class_signature = "mixed"
python_maximum_signature_line_length = 60
python_use_unqualified_type_names = True
add_module_names = False
toc_object_entries_show_parents = "hide"

html_theme = "pydata_sphinx_theme"
html_title = "airflow-provider-aep"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
html_theme_options = {
    "navbar_align": "left",
    "navbar_end": ["theme-switcher"],
    "header_links_before_dropdown": 5,
    "show_nav_level": 2,
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "footer_start": ["copyright"],
    "footer_end": [],
    "pygments_light_style": "tango",
    "pygments_dark_style": "github-dark",
}
