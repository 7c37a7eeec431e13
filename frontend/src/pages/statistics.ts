// Draws each chart from the table beneath it, in the colours of the page: there is one source of the numbers.

import {
  ArcElement,
  BarController,
  BarElement,
  CategoryScale,
  Chart,
  DoughnutController,
  Legend,
  LinearScale,
  Tooltip,
  type ChartConfiguration,
} from "chart.js";
import { MatrixController, MatrixElement } from "chartjs-chart-matrix";

Chart.register(
  ArcElement,
  BarController,
  BarElement,
  CategoryScale,
  DoughnutController,
  Legend,
  LinearScale,
  MatrixController,
  MatrixElement,
  Tooltip,
);

interface Numbers {
  series: string[];
  labels: string[];
  values: number[][]; // one row for each label, in it one value for each series
}

const style = (name: string): string => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function read(figure: HTMLElement): Numbers {
  const cells = (row: Element): string[] => [...row.children].map((cell) => cell.textContent?.trim() ?? "");
  const [head] = figure.querySelectorAll("thead tr");
  const rows = [...figure.querySelectorAll("tbody tr")].map(cells);
  return {
    series: head ? cells(head).slice(1) : [],
    labels: rows.map((row) => row[0] ?? ""),
    values: rows.map((row) => row.slice(1).map(Number)),
  };
}

const SERIES = ["--chart-1", "--chart-2", "--line-strong"];

function bars(numbers: Numbers, stacked: boolean, across: boolean): ChartConfiguration<"bar"> {
  const axis = { stacked, grid: { color: style("--chart-grid") }, border: { display: false } };
  const counts = { ...axis, ticks: { precision: 0, maxTicksLimit: 6 } };
  const names = {
    ...axis,
    grid: { display: false },
    ticks: {
      autoSkip: !across,
      callback(this: { getLabelForValue(value: number): string }, value: string | number) {
        const label = this.getLabelForValue(Number(value));
        return label.length > 22 ? `${label.slice(0, 21)}…` : label;
      },
    },
  };
  return {
    type: "bar",
    data: {
      labels: numbers.labels,
      datasets: numbers.series.map((label, index) => ({
        label,
        data: numbers.values.map((row) => row[index] ?? 0),
        backgroundColor: style(SERIES[index] ?? "--chart-1"),
        borderRadius: 2,
        maxBarThickness: (across ? 1.3 : 3.3) * (Chart.defaults.font.size ?? 12),
        categoryPercentage: 0.86,
        barPercentage: 0.92,
      })),
    },
    options: {
      indexAxis: across ? "y" : "x",
      scales: across ? { x: counts, y: names } : { x: names, y: counts },
      plugins: { legend: { display: stacked, position: "top", align: "end" } },
    },
  };
}

function shares(numbers: Numbers): ChartConfiguration<"doughnut"> {
  return {
    type: "doughnut",
    data: {
      labels: numbers.labels,
      datasets: [
        {
          data: numbers.values.map((row) => row[0] ?? 0),
          backgroundColor: SERIES.map(style),
          borderColor: style("--surface"),
          borderWidth: 2,
        },
      ],
    },
    options: { cutout: "68%", plugins: { legend: { display: true, position: "right" } } },
  };
}

interface Cell {
  x: string;
  y: string;
  v: number;
}

function heat(numbers: Numbers): ChartConfiguration<"matrix", Cell[]> {
  const most = Math.max(1, ...numbers.values.flat());
  const colour = style("--chart-1");
  const none = style("--sunken");
  return {
    type: "matrix",
    data: {
      datasets: [
        {
          data: numbers.labels.flatMap((y, row) =>
            numbers.series.map((x, column) => ({ x, y, v: numbers.values[row]?.[column] ?? 0 })),
          ),
          backgroundColor: ({ raw }) => {
            const share = ((raw as Cell | undefined)?.v ?? 0) / most;
            return share ? `color-mix(in srgb, ${colour} ${Math.round(12 + 88 * Math.sqrt(share))}%, ${none})` : none;
          },
          borderRadius: 2,
          width: ({ chart }) => Math.max(2, (chart.chartArea?.width ?? 0) / numbers.series.length - 2),
          height: ({ chart }) => Math.max(2, (chart.chartArea?.height ?? 0) / numbers.labels.length - 2),
        },
      ],
    },
    options: {
      scales: {
        x: { type: "category", labels: numbers.series, grid: { display: false }, border: { display: false }, offset: true },
        y: {
          type: "category",
          labels: numbers.labels,
          grid: { display: false },
          border: { display: false },
          offset: true,
          reverse: false,
          ticks: { autoSkip: numbers.labels.length > 16 },
        },
      },
      plugins: {
        legend: { display: false },
        tooltip: {
          callbacks: {
            title: () => "",
            label: ({ raw }) => `${(raw as Cell).y} ${(raw as Cell).x}:00 — ${(raw as Cell).v}`,
          },
        },
      },
    },
  };
}

function configuration(kind: string, numbers: Numbers): ChartConfiguration {
  switch (kind) {
    case "heat":
      return heat(numbers) as unknown as ChartConfiguration;
    case "shares":
      return shares(numbers) as ChartConfiguration;
    case "stack":
      return bars(numbers, true, false) as ChartConfiguration;
    case "columns":
      return bars(numbers, false, false) as ChartConfiguration;
    default:
      return bars(numbers, false, true) as ChartConfiguration;
  }
}

/** Until what there is has been shown; a page in the background shows nothing, and need not wait. */
const frame = (): Promise<void> =>
  new Promise((done) => (document.hidden ? done() : requestAnimationFrame(() => setTimeout(done))));

const drawn: Chart[] = [];
let turn = 0;

/** Draw all, from the top; between one and the next the page is shown and answers. */
async function draw(): Promise<void> {
  const mine = ++turn;
  drawn.splice(0).forEach((chart) => chart.destroy());
  Chart.defaults.font.family = style("--sans");
  Chart.defaults.font.size = 0.75 * parseFloat(getComputedStyle(document.documentElement).fontSize);
  Chart.defaults.color = style("--ink-faint");
  Chart.defaults.maintainAspectRatio = false;
  Chart.defaults.animation = false;
  Chart.defaults.plugins.legend.labels.boxWidth = Chart.defaults.font.size;
  Chart.defaults.plugins.legend.labels.boxHeight = Chart.defaults.font.size;
  const figures = [...document.querySelectorAll<HTMLElement>("[data-chart]")].map((figure) => ({ figure, numbers: read(figure) }));
  for (const { figure, numbers } of figures) {
    const least = { bars: 3, heat: 4 }[figure.dataset.chart ?? ""];
    if (least) figure.style.setProperty("--rows", String(Math.max(least, numbers.labels.length)));
  }
  for (const { figure, numbers } of figures) {
    const canvas = figure.querySelector("canvas");
    if (drawn.length) await frame(); // the first one comes with the page
    if (mine !== turn) return; // the colours changed meanwhile
    if (!canvas) continue;
    drawn.push(new Chart(canvas, configuration(figure.dataset.chart ?? "", numbers)));
    figure.dataset.drawn = "";
  }
}

void document.fonts.ready.then(draw);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => void draw());
