"""The picture of a report as inline SVG, whose colours are the page's own.

Charting libraries were looked at first. What they draw in a browser (Plotly, Vega) is megabytes of
script a page; what they draw beforehand (pygal, matplotlib) has its colours and sizes fixed in
styles of its own, which would neither follow the page into dark mode nor pass its content policy.
"""

from vercel_sql.cli.reports.chart.drawing import Picture, draw

__all__ = ["Picture", "draw"]
