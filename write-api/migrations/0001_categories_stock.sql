-- Tables. Every statement of a migration can be repeated: DDL commits by itself, so a file may be cut off anywhere.

-- The category tree as materialised paths: '1/4/13/' is category 13 below 4 below 1. A subtree is a range of the
-- unique index on path (path LIKE '1/4/%'). Names are distinct among siblings; parent_key makes roots siblings too
-- (a unique index treats NULLs as different). name is for display and sorting, names holds all languages.
CREATE TABLE IF NOT EXISTS categories (
    id INT UNSIGNED NOT NULL AUTO_INCREMENT,
    parent_id INT UNSIGNED NULL,
    level INT NOT NULL,
    path VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    name VARCHAR(255) NOT NULL,
    names JSON NULL,
    version BIGINT NOT NULL DEFAULT 1,
    created_at DATETIME(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
    updated_at DATETIME(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
    parent_key INT UNSIGNED GENERATED ALWAYS AS (IFNULL(parent_id, 0)) STORED,
    PRIMARY KEY (id),
    UNIQUE KEY categories_path (path),
    UNIQUE KEY categories_sibling_name (parent_key, name)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- state is what a shopper sees: 0 out, 1 low, 2 in. Triggers keep it, from available and the setting below.
CREATE TABLE IF NOT EXISTS stock (
    sku VARCHAR(128) NOT NULL,
    available BIGINT NOT NULL,
    reserved BIGINT NOT NULL DEFAULT 0,
    sold BIGINT NOT NULL DEFAULT 0,
    state TINYINT NOT NULL DEFAULT 0,
    version BIGINT NOT NULL DEFAULT 1,
    updated_at DATETIME(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
    PRIMARY KEY (sku)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- Every change of stock.available that went through the write-api: the sum of a SKU's deltas is what it has.
CREATE TABLE IF NOT EXISTS stock_movements (
    id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
    sku VARCHAR(128) NOT NULL,
    delta BIGINT NOT NULL,
    reason VARCHAR(255) NOT NULL,
    created_at DATETIME(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
    PRIMARY KEY (id),
    KEY stock_movements_sku (sku, id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE IF NOT EXISTS settings (
    name VARCHAR(64) NOT NULL,
    value VARCHAR(255) NOT NULL,
    PRIMARY KEY (name)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
INSERT IGNORE INTO settings (name, value) VALUES ('low_stock_threshold', '5');

-- Incremented inside every transaction that changes categories: a tree read at revision n has all changes up to n.
CREATE TABLE IF NOT EXISTS category_revision (
    id TINYINT NOT NULL,
    revision BIGINT UNSIGNED NOT NULL,
    PRIMARY KEY (id)
) ENGINE=InnoDB;
INSERT IGNORE INTO category_revision (id, revision) VALUES (1, 0);

-- What the projector has to look at again; filled by triggers only, so that no writer can forget it.
CREATE TABLE IF NOT EXISTS projection_queue (
    id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
    kind ENUM('category', 'stock') NOT NULL,
    ref VARCHAR(128) NOT NULL,
    revision BIGINT UNSIGNED NOT NULL DEFAULT 0,
    created_at DATETIME(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
    PRIMARY KEY (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- The projector that may delete from the queue: the one with this epoch.
CREATE TABLE IF NOT EXISTS projector_fence (
    id TINYINT NOT NULL,
    epoch BIGINT UNSIGNED NOT NULL,
    PRIMARY KEY (id)
) ENGINE=InnoDB;
INSERT IGNORE INTO projector_fence (id, epoch) VALUES (1, 0);
