-- Triggers: versions, times, the stock state and the projection queue are right for every writer, the mysql client
-- included. Times are UTC whatever the session's time zone. A foreign key with a cascade would fire no triggers, so
-- there are none.

DELIMITER $$

DROP TRIGGER IF EXISTS categories_before_insert$$
CREATE TRIGGER categories_before_insert BEFORE INSERT ON categories FOR EACH ROW
BEGIN
    SET NEW.created_at = UTC_TIMESTAMP(6);
    SET NEW.updated_at = NEW.created_at;
END$$

DROP TRIGGER IF EXISTS categories_before_update$$
CREATE TRIGGER categories_before_update BEFORE UPDATE ON categories FOR EACH ROW
BEGIN
    SET NEW.version = IF(LEFT(OLD.path, 1) = '~', OLD.version, OLD.version + 1);
    SET NEW.updated_at = UTC_TIMESTAMP(6);
END$$

-- A path that begins with '~' belongs to a row whose id is not known yet: its update follows in the same transaction,
-- is part of the creation, and is what the queue sees.
DROP TRIGGER IF EXISTS categories_after_insert$$
CREATE TRIGGER categories_after_insert AFTER INSERT ON categories FOR EACH ROW
BEGIN
    IF LEFT(NEW.path, 1) <> '~' THEN
        UPDATE category_revision SET revision = revision + 1 WHERE id = 1;
        INSERT INTO projection_queue (kind, ref, revision, created_at)
            SELECT 'category', NEW.id, revision, UTC_TIMESTAMP(6) FROM category_revision WHERE id = 1;
    END IF;
END$$

DROP TRIGGER IF EXISTS categories_after_update$$
CREATE TRIGGER categories_after_update AFTER UPDATE ON categories FOR EACH ROW
BEGIN
    IF NOT (NEW.id <=> OLD.id AND NEW.parent_id <=> OLD.parent_id AND NEW.path <=> OLD.path
            AND NEW.name <=> OLD.name AND CAST(NEW.names AS CHAR) <=> CAST(OLD.names AS CHAR)) THEN
        UPDATE category_revision SET revision = revision + 1 WHERE id = 1;
        INSERT INTO projection_queue (kind, ref, revision, created_at)
            SELECT 'category', NEW.id, revision, UTC_TIMESTAMP(6) FROM category_revision WHERE id = 1;
        IF NEW.id <> OLD.id THEN
            INSERT INTO projection_queue (kind, ref, revision, created_at)
                SELECT 'category', OLD.id, revision, UTC_TIMESTAMP(6) FROM category_revision WHERE id = 1;
        END IF;
    END IF;
END$$

DROP TRIGGER IF EXISTS categories_after_delete$$
CREATE TRIGGER categories_after_delete AFTER DELETE ON categories FOR EACH ROW
BEGIN
    UPDATE category_revision SET revision = revision + 1 WHERE id = 1;
    INSERT INTO projection_queue (kind, ref, revision, created_at)
        SELECT 'category', OLD.id, revision, UTC_TIMESTAMP(6) FROM category_revision WHERE id = 1;
END$$

DROP TRIGGER IF EXISTS stock_before_insert$$
CREATE TRIGGER stock_before_insert BEFORE INSERT ON stock FOR EACH ROW
BEGIN
    IF NEW.available < 0 OR NEW.reserved < 0 THEN
        SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'stock: available and reserved must not be negative';
    END IF;
    SET NEW.updated_at = UTC_TIMESTAMP(6);
    SET NEW.state = IF(NEW.available = 0, 0, IF(NEW.available <= IFNULL(
        (SELECT CAST(value AS SIGNED) FROM settings WHERE name = 'low_stock_threshold'), 5), 1, 2));
END$$

DROP TRIGGER IF EXISTS stock_before_update$$
CREATE TRIGGER stock_before_update BEFORE UPDATE ON stock FOR EACH ROW
BEGIN
    IF NEW.available < 0 OR NEW.reserved < 0 THEN
        SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'stock: available and reserved must not be negative';
    END IF;
    SET NEW.version = OLD.version + 1;
    SET NEW.updated_at = UTC_TIMESTAMP(6);
    SET NEW.state = IF(NEW.available = 0, 0, IF(NEW.available <= IFNULL(
        (SELECT CAST(value AS SIGNED) FROM settings WHERE name = 'low_stock_threshold'), 5), 1, 2));
END$$

DROP TRIGGER IF EXISTS stock_after_insert$$
CREATE TRIGGER stock_after_insert AFTER INSERT ON stock FOR EACH ROW
BEGIN
    INSERT INTO projection_queue (kind, ref, created_at) VALUES ('stock', NEW.sku, UTC_TIMESTAMP(6));
END$$

DROP TRIGGER IF EXISTS stock_after_update$$
CREATE TRIGGER stock_after_update AFTER UPDATE ON stock FOR EACH ROW
BEGIN
    IF NEW.state <> OLD.state OR NEW.sku <> OLD.sku THEN
        INSERT INTO projection_queue (kind, ref, created_at) VALUES ('stock', NEW.sku, UTC_TIMESTAMP(6));
        IF NEW.sku <> OLD.sku THEN
            INSERT INTO projection_queue (kind, ref, created_at) VALUES ('stock', OLD.sku, UTC_TIMESTAMP(6));
        END IF;
    END IF;
END$$

DROP TRIGGER IF EXISTS stock_after_delete$$
CREATE TRIGGER stock_after_delete AFTER DELETE ON stock FOR EACH ROW
BEGIN
    INSERT INTO projection_queue (kind, ref, created_at) VALUES ('stock', OLD.sku, UTC_TIMESTAMP(6));
END$$

DELIMITER ;
