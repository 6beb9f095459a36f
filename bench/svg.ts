/** Plots as SVG: bars, and lines on logarithmic axes. */

export interface Bar {
  readonly label: string
  readonly value: number
  /** As it is written beside the bar. */
  readonly text: string
}

export interface Line {
  readonly label: string
  readonly points: readonly (readonly [x: number, y: number])[]
}

const WIDTH = 720
const FONT = 'font-family="system-ui, sans-serif" font-size="13"'
const COLOURS = ['#0b6e4f', '#2f6fb0', '#b4531a', '#7a4fa3']
const GREY = '#9aa5b1'

const escaped = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')

/** `5K`, `2M`: neighbours on an axis would run into each other. */
const compact = (value: number): string => value.toLocaleString('en', { notation: 'compact' })

const text = (x: number, y: number, words: string, rest = ''): string =>
  `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" ${FONT} fill="#1f2933" ${rest}>${escaped(words)}</text>`

const document = (height: number, title: string, parts: readonly string[]): string =>
  [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="${escaped(title)}">`,
    `<rect width="${WIDTH}" height="${height}" fill="#ffffff"/>`,
    text(16, 26, title, 'font-weight="600"'),
    ...parts,
    '</svg>',
    '',
  ].join('\n')

/** The first bar is the library's. With `logarithmic`, each tenth of the width is the same factor. */
export function bars(title: string, all: readonly Bar[], scale: 'linear' | 'logarithmic'): string {
  const [left, right, top, step] = [210, 120, 44, 28]
  const most = Math.max(...all.map(({ value }) => value))
  // Half of the smallest, so that the smallest bar can be seen.
  const least = Math.min(...all.map(({ value }) => value)) / 2
  const share = (value: number): number =>
    scale === 'linear' ? value / most : Math.log(value / least) / Math.log(most / least)
  const parts = all.flatMap(({ label, value, text: words }, n) => {
    const y = top + n * step
    const length = Math.max(1, share(value) * (WIDTH - left - right))
    return [
      text(left - 10, y + 15, label, 'text-anchor="end"'),
      `<rect x="${left}" y="${y}" width="${length.toFixed(1)}" height="${step - 8}" fill="${n === 0 ? COLOURS[0] : GREY}"/>`,
      text(left + length + 8, y + 15, words),
    ]
  })
  return document(top + all.length * step + 12, title, parts)
}

/** Both axes are logarithmic; the points' own values are the ticks of the first one. */
export function lines(title: string, unit: string, all: readonly Line[]): string {
  const [left, right, top, bottom, height] = [84, 176, 48, 44, 360]
  const points = all.flatMap((line) => line.points)
  const xs = [...new Set(points.map(([x]) => x))].sort((a, b) => a - b)
  const ys = points.map(([, y]) => y)
  const powers = { from: Math.floor(Math.log10(Math.min(...ys))), to: Math.ceil(Math.log10(Math.max(...ys))) }
  const x = (value: number): number => {
    const [least = 1, most = 10] = [xs[0], xs.at(-1)]
    return left + (Math.log(value / least) / Math.log(most / least)) * (WIDTH - left - right)
  }
  const y = (value: number): number =>
    height - bottom - ((Math.log10(value) - powers.from) / (powers.to - powers.from)) * (height - top - bottom)
  const grid = Array.from({ length: powers.to - powers.from + 1 }, (_, n) => 10 ** (powers.from + n)).flatMap(
    (power) => [
      `<line x1="${left}" x2="${WIDTH - right}" y1="${y(power)}" y2="${y(power)}" stroke="#e4e7eb"/>`,
      text(left - 8, y(power) + 4, `${power.toLocaleString('en')} ${unit}`, 'text-anchor="end"'),
    ],
  )
  const ticks = xs.map((value) => text(x(value), height - bottom + 22, compact(value), 'text-anchor="middle"'))
  const drawn = all.flatMap((line, n) => {
    const colour = COLOURS[n % COLOURS.length]
    const path = line.points.map(([px, py]) => `${x(px).toFixed(1)},${y(py).toFixed(1)}`).join(' ')
    const [lastX, lastY] = line.points.at(-1) ?? [1, 1]
    return [
      `<polyline points="${path}" fill="none" stroke="${colour}" stroke-width="2"/>`,
      ...line.points.map(
        ([px, py]) => `<circle cx="${x(px).toFixed(1)}" cy="${y(py).toFixed(1)}" r="3" fill="${colour}"/>`,
      ),
      text(x(lastX) + 8, y(lastY) + 4, line.label),
    ]
  })
  return document(height, title, [...grid, ...ticks, ...drawn])
}
