/** The links of the shown node, and their weights. */
import { element } from './node-panel.js'

const at = (id) => document.getElementById(id)

export class LinksPanel {
  #chosen
  #weighed
  /** By the ids of links: the element, and what fills it. */
  #items = new Map()

  /** `chosen` is told the id of the node at the other end, `weighed` the id of a link and its new weight. */
  constructor({ chosen, weighed }) {
    this.#chosen = chosen
    this.#weighed = weighed
  }

  /** Items stay what they are: whoever edits a weight keeps the focus when the list is read again. */
  show(links) {
    const items = new Map()
    for (const link of links) items.set(link.link_id, this.#items.get(link.link_id) ?? this.#item(link.link_id))
    for (const [id, { item }] of this.#items) if (!items.has(id)) item.remove()
    this.#items = items
    const focused = document.activeElement
    for (const [index, link] of links.entries()) {
      const { item, fill } = items.get(link.link_id)
      fill(link)
      const there = at('links').children[index]
      if (there !== item) at('links').insertBefore(item, there ?? null)
    }
    // An element that is moved loses it.
    if (focused !== document.activeElement && at('links').contains(focused)) focused.focus()
    at('links-count').textContent = links.length.toLocaleString('en')
  }

  #item(linkId) {
    const item = element('li', '')
    const button = element('button', '')
    button.type = 'button'
    button.addEventListener('click', () => this.#chosen(button.title))
    const kindOf = element('small', '')
    const weight = element('input', '')
    Object.assign(weight, { type: 'number', min: '0', step: 'any', required: true })
    weight.addEventListener('change', () => {
      if (weight.reportValidity()) this.#weighed(linkId, Number(weight.value))
    })
    item.append(element('i', ''), button, kindOf, weight)
    let stored
    const fill = ({ node_id, label, started, cost, kind }) => {
      item.className = started ? 'up' : 'stopped'
      button.textContent = label
      button.title = node_id
      kindOf.textContent = kind ?? ''
      weight.setAttribute('aria-label', `Weight of the link to ${label}`)
      // A weight that is being typed is not overwritten.
      const isTyped = document.activeElement === weight && weight.value !== stored
      stored = String(cost)
      if (!isTyped) weight.value = stored
    }
    return { item, fill }
  }
}
