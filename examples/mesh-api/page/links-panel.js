/** The links of the shown node, and their weights. */
import { element } from './node-panel.js'

const at = (id) => document.getElementById(id)

export class LinksPanel {
  #chosen
  #weighed

  /** `chosen` is told the id of the node at the other end, `weighed` the id of a link and its new weight. */
  constructor({ chosen, weighed }) {
    this.#chosen = chosen
    this.#weighed = weighed
  }

  show(links) {
    at('links').replaceChildren(...links.map((link) => this.#item(link)))
    at('links-count').textContent = links.length.toLocaleString('en')
  }

  #item({ link_id, node_id, label, started, cost, kind }) {
    const item = element('li', '', started ? 'up' : 'stopped')
    const button = element('button', label)
    button.type = 'button'
    button.title = node_id
    button.addEventListener('click', () => this.#chosen(node_id))
    const weight = element('input', '')
    Object.assign(weight, { type: 'number', min: '0', step: 'any', value: String(cost), required: true })
    weight.setAttribute('aria-label', `Weight of the link to ${label}`)
    weight.addEventListener('change', () => {
      if (weight.reportValidity()) this.#weighed(link_id, Number(weight.value))
    })
    item.append(element('i', ''), button, element('small', kind ?? ''), weight)
    return item
  }
}
