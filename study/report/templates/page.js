(() => {
  let figures = {}, divs = [];
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const touch = matchMedia("(pointer: coarse)").matches;
  const color = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  // Figures are transparent; what is drawn in the ink of the page changes with it.
  const theme = layout => {
    const patch = { "font.color": color("--ink"), "hoverlabel.bgcolor": color("--box"),
                    "hoverlabel.font.color": color("--ink"), "hoverlabel.bordercolor": color("--line") };
    for (const axis of Object.keys(layout).filter(key => /^[xy]axis\d*$/.test(key))) {
      patch[axis + ".gridcolor"] = color("--grid");
      patch[axis + ".linecolor"] = color("--line");
      patch[axis + ".tickfont.color"] = color("--soft");
    }
    return patch;
  };
  const draw = async div => {
    const { data, layout } = figures[div.id];
    if (div.clientWidth < 260) {
      Object.assign(layout, { height: 220, margin: { l: 30, r: 4, t: 30, b: 34 } });
      layout.font.size = 10;
      layout.title.font.size = 12;
      for (const axis of [layout.xaxis, layout.yaxis]) if (axis.dtick === 1) axis.dtick = 2;
    }
    // A finger scrolls the page; it does not zoom a figure.
    if (touch) layout.dragmode = false;
    await Plotly.newPlot(div, data, layout, { responsive: true, displaylogo: false, displayModeBar: !touch && "hover" });
    await Plotly.relayout(div, theme(layout));
    // A figure is read as an image with its title: its buttons are for a mouse.
    for (const part of document.querySelectorAll("#js-plotly-tester, .modebar-container")) part.ariaHidden = "true";
    div.dataset.drawn = "yes";
  };
  const near = new IntersectionObserver(entries => entries.forEach(({ isIntersecting, target }) => {
    if (isIntersecting) { near.unobserve(target); draw(target); }
  }), { rootMargin: "800px" });
  addEventListener("beforeprint", () => divs.filter(div => !div.dataset.drawn).forEach(draw));
  dark.addEventListener("change", () => divs.filter(div => div.dataset.drawn)
    .forEach(div => Plotly.relayout(div, theme(div.layout))));

  const show = () => {
    divs.filter(div => div.dataset.drawn).forEach(div => Plotly.purge(div));
    near.disconnect();
    figures = JSON.parse(document.getElementById("figures").textContent);
    divs = [...document.querySelectorAll(".figure")];
    divs.forEach(div => {
      div.role = "img";
      div.ariaLabel = (figures[div.id].layout.title?.text || div.id).replace(/<[^>]*>/g, " ");
      div.style.minHeight = figures[div.id].layout.height + "px";
      near.observe(div);
    });
    for (const table of document.querySelectorAll("table")) {
      const body = table.tBodies[0];
      [...table.tHead.rows[0].cells].forEach((th, column) => th.firstChild.addEventListener("click", () => {
        const falling = th.getAttribute("aria-sort") === "ascending";
        [...table.tHead.rows[0].cells].forEach(other => other.removeAttribute("aria-sort"));
        th.setAttribute("aria-sort", falling ? "descending" : "ascending");
        const key = row => {
          const cell = row.cells[column];
          return "v" in cell.dataset ? (cell.dataset.v === "" ? null : Number(cell.dataset.v)) : cell.textContent;
        };
        const order = (a, b) => {
          const [x, y] = [key(a), key(b)];
          if (x === null || y === null) return (x === null) - (y === null); // what is missing comes last either way
          return (x < y ? -1 : x > y ? 1 : 0) * (falling ? -1 : 1);
        };
        body.append(...[...body.rows].sort(order));
      }));
    }
  };
  show();
  addEventListener("gradstudy:replaced", show); // a page that follows a study puts a newer report in the place of this one
})();
