/** A rule for textlint: no sentence begins without its subject, and one concept has one term. */
import { SentenceSplitterSyntax, splitAST } from 'sentence-splitter'
import { RIDDLE, TERMS } from '../../test/support/plain-words.ts'

export default ({ Syntax, RuleError, report, getSource }) => {
  const look = (node) => {
    for (const sentence of splitAST(node).children) {
      if (sentence.type !== SentenceSplitterSyntax.Sentence) continue
      const text = getSource(sentence)
      if (RIDDLE.test(text)) report(sentence, new RuleError(`begins without its subject: ${text}`))
      const plain = text.replaceAll(/`[^`]*`|\]\([^)]*\)/g, '')
      for (const [term, other] of Object.entries(TERMS))
        if (other.test(plain)) report(sentence, new RuleError(`say ${term}: ${text}`))
    }
  }
  return { [Syntax.Paragraph]: look, [Syntax.TableCell]: look }
}
