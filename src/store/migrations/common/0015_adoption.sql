-- Rows that an administrator offers to one owner each: it may take the row although nobody else in its place could.
CREATE TABLE offer (
    owner_kind TEXT NOT NULL,
    owner_namespace TEXT NOT NULL,
    owner_name TEXT NOT NULL,
    entity_id TEXT NOT NULL,
    actor TEXT NOT NULL,
    offered_at BIGINT NOT NULL,
    PRIMARY KEY (owner_kind, owner_namespace, owner_name)
);
-- one row is offered to one owner
CREATE UNIQUE INDEX offer_entity ON offer (owner_kind, entity_id);
