/** The paths between two nodes, and where the answer came from. */
import { ALTERNATIVE, colourOf } from './mesh-view.js'
import { element } from './node-panel.js'

const at = (id) => document.getElementById(id)
/** A longer path spells out its two ends alone. */
const SPELLED_OUT = 12

export class PathsPanel {
  #labelOf
  #chosen

  /** `chosen` is told the id of a node that is clicked in a path. */
  constructor(labelOf, { chosen, again, cleared }) {
    this.#labelOf = labelOf
    this.#chosen = chosen
    at('again').addEventListener('click', again)
    at('k').addEventListener('change', again)
    at('clear').addEventListener('click', cleared)
  }

  get k() {
    return Math.min(16, Math.max(1, Math.round(Number(at('k').value)) || 1))
  }

  showEnds([source, destination]) {
    at('source').textContent = source === undefined ? 'Click a node' : this.#labelOf(source)
    at('destination').textContent = destination === undefined ? 'and another' : this.#labelOf(destination)
    at('clear').disabled = source === undefined
    at('again').disabled = destination === undefined
  }

  clear() {
    at('answer').replaceChildren()
    at('paths').replaceChildren()
  }

  show({ primary, alternatives, cache, stats, roundTrip }) {
    const origin = cache.origin === 'computed' ? 'computed' : `cache: ${cache.origin}`
    const times = `in ${cache.milliseconds.toFixed(1)} ms (${roundTrip.toFixed(0)} ms to here)`
    at('answer').replaceChildren(element('span', origin, `badge ${cache.origin}`), element('span', times))
    at('paths').replaceChildren(
      ...primary.map((path, index) => this.#item(path, `Path ${index + 1}`, colourOf(index))),
      ...alternatives.map((path) => this.#item(path, 'Alternative', ALTERNATIVE)),
    )
    if (primary.length === 0) {
      const why = stats.policy_filtered > 0 ? `; the policies keep out ${stats.policy_filtered} nodes and links` : ''
      at('paths').append(element('p', `No path connects the two${why}.`))
    }
  }

  #item({ nodes, total_weight, reliability_product }, title, colour) {
    const item = element('li', '')
    item.style.setProperty('--colour', `var(--${colour})`)
    const steps = `${nodes.length - 1} ${nodes.length === 2 ? 'link' : 'links'}`
    const arrives = reliability_product === undefined ? '' : `, ${(100 * reliability_product).toFixed(1)} % arrive`
    const hops = element('div', '', 'hops')
    const shown =
      nodes.length <= 2 * SPELLED_OUT ? nodes : [...nodes.slice(0, SPELLED_OUT), ...nodes.slice(-SPELLED_OUT)]
    for (const [index, id] of shown.entries()) {
      if (index > 0) hops.append(shown !== nodes && index === SPELLED_OUT ? ' … ' : ' → ')
      const button = element('button', this.#labelOf(id))
      button.type = 'button'
      button.addEventListener('click', () => this.#chosen(id))
      hops.append(button)
    }
    const facts = element('div', `weight ${total_weight.toFixed(2)}, ${steps}${arrives}`, 'facts')
    item.append(element('b', title), facts, hops)
    return item
  }
}
