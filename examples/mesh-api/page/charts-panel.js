/** Four charts show the calls, p99, cache hits and write queue of the last minutes. */
import { activity } from './api.js'
import { Chart } from './chart.js'

const at = (id) => document.getElementById(id)
const EVERY_MS = 1_000

const count = (value) => value.toLocaleString('en', { notation: 'compact', maximumSignificantDigits: 3 })
const perSecond = (value) => `${count(value)}/s`
const duration = (value) => (value < 1_000 ? `${short(value)} ms` : `${short(value / 1_000)} s`)
const short = (value) => Number(value.toPrecision(2)).toLocaleString('en')
const percent = (value) => `${Math.round(value * 100)} %`

const CHARTS = [
  {
    title: 'Throughput',
    lines: [
      { label: 'calls', colour: 'chart-1', read: ({ statements }) => statements },
      { label: 'commits', colour: 'chart-2', read: ({ commits }) => commits },
    ],
    format: perSecond,
    scale: { least: 10 },
    empty: 'no calls',
  },
  {
    title: 'Latency, p99 of 10 s',
    lines: [
      { label: 'calls', colour: 'chart-1', read: ({ statement_p99_ms: p99 }) => p99 },
      { label: 'commits', colour: 'chart-2', read: ({ commit_p99_ms: p99 }) => p99 },
    ],
    format: duration,
    scale: { from: 0.01, least: 10 },
    empty: 'no calls',
  },
  {
    title: 'Path cache',
    lines: [{ label: 'hits of 10 s', colour: 'chart-3', read: ({ hit_rate: rate }) => rate }],
    format: percent,
    scale: { least: 1, most: 1 },
    empty: 'no path was asked for',
  },
  {
    title: 'Write queue',
    lines: [{ label: 'waiting', colour: 'chart-4', read: ({ waiting_writes: writes }) => writes }],
    format: count,
    scale: { least: 10 },
    empty: 'no write has waited',
  },
]

export class ChartsPanel {
  #charts
  #samples = []
  #isAsking = false

  constructor() {
    this.#charts = CHARTS.map((each) => new Chart(at('charts'), each, (index) => this.#point(index)))
    setInterval(() => this.#ask(), EVERY_MS)
    this.#ask()
  }

  /** Only while somebody can see them. */
  async #ask() {
    if (document.hidden || !at('activity').open || this.#isAsking) return
    this.#isAsking = true
    try {
      this.#take(await activity(this.#samples.at(-1)?.at ?? 0))
      at('activity-state').className = ''
      at('activity-state').textContent = 'the last 5 minutes'
    } catch {
      at('activity-state').className = 'lost'
      at('activity-state').textContent = 'the server does not answer; asking again'
    } finally {
      this.#isAsking = false
    }
  }

  #take({ now, kept_seconds: seconds, samples }) {
    const known = this.#samples.filter(({ at }) => at > now - seconds * 1_000)
    this.#samples = [...known, ...samples]
    const times = this.#samples.map(({ at }) => at / 1_000)
    for (const [index, { lines }] of CHARTS.entries()) {
      const values = lines.map(({ read }) => this.#samples.map(read))
      this.#charts[index].draw(times, values, { now: times.at(-1) ?? now / 1_000, seconds })
    }
  }

  /** The pointer on one chart tells the values of that moment on all of them. */
  #point(index) {
    for (const chart of this.#charts) chart.tell(index)
  }
}
