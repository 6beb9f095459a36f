/**
 * drizzle-kit 1.0 asks each index, key and constraint whether the application gave it its name. The builders of
 * drizzle-orm 0.45, which this library bundles, do not say: with them `drizzle-kit generate` failed with
 * "isNameExplicit is not a function".
 */

interface Core {
  readonly ForeignKey: { readonly prototype: object }
  readonly Index: { readonly prototype: object }
  readonly PrimaryKey: { readonly prototype: object }
  readonly UniqueConstraint: { readonly prototype: object }
}

export function tellGivenNames({ ForeignKey, Index, PrimaryKey, UniqueConstraint }: Core): void {
  const tell = ({ prototype }: { readonly prototype: object }, descriptor: PropertyDescriptor): void => {
    // A later drizzle-orm says it by itself.
    if (!('isNameExplicit' in prototype)) Object.defineProperty(prototype, 'isNameExplicit', descriptor)
  }
  // An index always has a name, and a UNIQUE constraint has computed its own.
  for (const each of [Index, UniqueConstraint]) tell(each, { value: true })
  tell(PrimaryKey, {
    get(this: { readonly name?: string }) {
      return this.name !== undefined
    },
  })
  tell(ForeignKey, {
    value(this: { reference(): { readonly name?: string } }) {
      return this.reference().name !== undefined
    },
  })
}
