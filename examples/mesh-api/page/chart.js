/** A chart over time, drawn by uPlot. Its caption names the lines and tells their values. */
import uPlot from '/page/uplot.js'
import { element } from './node-panel.js'
import { colour, onThemeChange } from './theme.js'

const HEIGHT = 104
const LABEL_FONT = '11px system-ui, "Segoe UI", Roboto, "Liberation Sans", sans-serif'
/** Room in pixels for labels: beside the chart, below it, and for half of the last one. */
const LEFT = 48
const BELOW = 22
const RIGHT = 18
/** In seconds. */
const TICKS_BEFORE_NOW = [240, 120, 0]
const FAINT = '26'

export class Chart {
  #plot
  #format
  #values
  #empty
  #pointed

  /**
   * `lines` are `{ label, colour, read(sample) }`; `format` makes a text of a value. `scale` is `{ least, most, from }`: the
   * upper end is at least `least` and at most `most`; a scale with `from` is logarithmic and begins there. `pointed` is told
   * the index of the sample under the pointer, or undefined.
   */
  constructor(parent, { title, lines, format, scale, empty }, pointed) {
    this.#format = format
    this.#values = lines.map(() => element('b', ''))
    this.#empty = element('p', empty, 'empty')
    const caption = element('figcaption', '')
    caption.append(element('strong', title), ...lines.map((line, index) => this.#key(line, this.#values[index])))
    const place = element('div', '', 'plot')
    place.setAttribute('role', 'img')
    place.setAttribute('aria-label', title)
    const figure = element('figure', '')
    place.append(this.#empty)
    figure.append(caption, place)
    parent.append(figure)
    const hooks = { setCursor: [({ cursor }) => pointed(cursor.left < 0 ? undefined : (cursor.idx ?? undefined))] }
    this.#plot = new uPlot({ ...optionsOf(lines, scale, format), hooks }, [[]], place)
    const fit = () => this.#plot.setSize({ width: Math.max(120, place.clientWidth), height: HEIGHT })
    new ResizeObserver(fit).observe(place)
    onThemeChange(() => this.#plot.redraw(false, true))
  }

  /** `times` are seconds, `values` those of each line; null where there is none. `now` is the right end. */
  draw(times, values, { now, seconds }) {
    this.#plot.batch(() => {
      this.#plot.setData([times, ...values], false)
      this.#plot.setScale('x', { min: now - seconds, max: now })
    })
    this.#empty.hidden = values.some((line) => line.some((value) => value !== null && value !== 0))
    this.tell(this.#pointed)
  }

  /** Tells the values of a sample; without one, the newest. */
  tell(index) {
    this.#pointed = index
    const [times, ...values] = this.#plot.data
    for (const [at, line] of values.entries()) {
      const value = line[index ?? times.length - 1]
      this.#values[at].textContent = value == null ? '–' : this.#format(value)
    }
  }

  #key({ label, colour }, value) {
    const key = element('span', '')
    const mark = element('i', '')
    mark.style.background = `var(--${colour})`
    key.append(mark, `${label} `, value)
    return key
  }
}

function optionsOf(lines, { least, most, from }, format) {
  const font = LABEL_FONT
  const axis = {
    font,
    stroke: () => colour('quiet'),
    grid: { stroke: () => colour('line'), width: 1 },
    ticks: { show: false },
    gap: 4,
  }
  const top = (max) => Math.min(most ?? Number.POSITIVE_INFINITY, Math.max(least, max ?? 0))
  return {
    width: 200,
    height: HEIGHT,
    padding: [10, RIGHT, 0, 0],
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false }, points: { size: 6 } },
    scales: {
      x: { time: false },
      y:
        from === undefined
          ? { range: (_, __, max) => (most === undefined ? [0, uPlot.rangeNum(0, top(max), 0.1, true)[1]] : [0, most]) }
          : { distr: 3, range: (_, __, max) => [from, 10 ** Math.ceil(Math.log10(top(max)))] },
    },
    axes: [
      {
        ...axis,
        size: BELOW,
        splits: (_, __, ___, end) => TICKS_BEFORE_NOW.map((before) => end - before),
        values: (_, times) => times.map((_, index) => agoOf(TICKS_BEFORE_NOW[index])),
      },
      {
        ...axis,
        size: LEFT,
        space: 24,
        ...(from === undefined
          ? {}
          : { splits: (_, __, start, end) => decades(start, end), filter: (_, splits) => splits }),
        ...(most === undefined ? {} : { splits: () => [0, most / 2, most] }),
        values: (_, values) => values.map((value) => (value === null ? '' : format(value))),
      },
    ],
    series: [
      {},
      ...lines.map(({ colour: name }) => ({
        stroke: () => colour(name),
        width: 1.5,
        points: { show: false },
        ...(lines.length === 1 ? { fill: () => colour(name) + FAINT } : {}),
      })),
    ],
  }
}

const agoOf = (seconds) => (seconds === 0 ? 'now' : `−${seconds / 60} min`)

/** The powers of ten, or every second one of many. */
function decades(start, end) {
  const [first, last] = [Math.round(Math.log10(start)), Math.round(Math.log10(end))]
  const step = last - first > 4 ? 2 : 1
  return Array.from({ length: Math.floor((last - first) / step) + 1 }, (_, index) => 10 ** (first + index * step))
}
