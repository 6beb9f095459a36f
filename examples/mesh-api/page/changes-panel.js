/** The latest changes, the newest first. */
import { element } from './node-panel.js'

const at = (id) => document.getElementById(id)
const MOST = 50
const WORDS = { insert: 'added', update: 'changed', delete: 'removed', invalidate: 'invalidated', truncate: 'emptied' }
const NAMES = {
  nodes: 'node',
  policies: 'policy',
  path_cache: 'cached paths',
  links: 'link',
  node_labels: 'label',
  mesh_facts: 'mesh',
}

export class ChangesPanel {
  #labelOf
  #seen = 0

  constructor(labelOf) {
    this.#labelOf = labelOf
  }

  show({ table, operation, key, paths }) {
    const item = element('li', '')
    const name = table === 'nodes' && key !== undefined ? this.#labelOf(key) : (key ?? endsOf(paths))
    item.append(element('b', `${NAMES[table] ?? table} ${WORDS[operation]}`, operation), element('span', name))
    at('changes').prepend(item)
    while (at('changes').childElementCount > MOST) at('changes').lastElementChild.remove()
    this.#seen++
    at('seen').textContent = `${this.#seen.toLocaleString('en')} so far`
  }

  missed() {
    at('changes').prepend(element('li', 'Some were missed; everything was read again.'))
  }

  listening(is) {
    at('live').className = is ? 'live' : 'lost'
    at('live').textContent = is ? 'live' : 'connecting…'
  }
}

const endsOf = ({ source, destination, through } = {}) =>
  [source && `from ${source}`, destination && `to ${destination}`, through && `across ${through}`]
    .filter((each) => each !== undefined)
    .join(', ') || 'all'
