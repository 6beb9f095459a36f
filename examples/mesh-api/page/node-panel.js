/** One node, and the button that starts or stops it. */
const at = (id) => document.getElementById(id)

export class NodePanel {
  #shown

  /** `toggled` is told the node as it was. */
  constructor(toggled) {
    at('toggle').addEventListener('click', () => toggled(this.#shown))
  }

  get id() {
    return this.#shown?.node_id
  }

  show(node, label) {
    this.#shown = node
    at('node').hidden = false
    at('node-id').textContent = label === node.node_id ? label : `${label} (${node.node_id})`
    const facts = {
      state: node.started ? 'up' : 'stopped',
      interfaces: node.interfaces.join(', ') || 'none',
      protocols: node.protocols.join(', ') || 'none',
      routes: node.routes_discovered,
      changed: new Date(node.updated_at).toLocaleString(),
    }
    at('facts').replaceChildren(
      ...Object.entries(facts).flatMap(([name, value]) => [element('dt', name), element('dd', String(value))]),
    )
    at('toggle').textContent = node.started ? 'Stop this node' : 'Start this node'
  }

  hide() {
    this.#shown = undefined
    at('node').hidden = true
  }
}

export function element(name, text, className = '') {
  const made = document.createElement(name)
  made.textContent = text
  made.className = className
  return made
}
