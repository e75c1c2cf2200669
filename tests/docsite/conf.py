"""Settings of Sphinx; it is copied beside the pages."""

project = "hokusai.platform"
author = "Hokusai Platform contributors"
project_copyright = "Hokusai Platform contributors"
extensions = ["myst_parser", "sphinx_antsibull_ext"]
root_doc = "index"
myst_heading_anchors = 4
html_theme = "alabaster"
html_theme_options = {"description": "Brings an ML platform on AWS from broken to healthy, and proves it."}
html_sidebars = {"**": ["about.html", "navigation.html", "searchbox.html"]}
html_show_sourcelink = False
html_copy_source = False
pygments_style = "default"
