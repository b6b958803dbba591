-- What shoppers do, as ranking sees it: steps of a logarithmic scale, written by the projector from events. A product
-- without a row has none. The trigger puts a change into the queue like any other.

CREATE TABLE IF NOT EXISTS product_signals (
    product_id VARBINARY(128) NOT NULL,
    sales SMALLINT UNSIGNED NOT NULL DEFAULT 0,
    popularity SMALLINT UNSIGNED NOT NULL DEFAULT 0,
    PRIMARY KEY (product_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

ALTER TABLE projection_queue MODIFY kind ENUM('category', 'stock', 'signal') NOT NULL;

DELIMITER $$

DROP TRIGGER IF EXISTS product_signals_after_insert$$
CREATE TRIGGER product_signals_after_insert AFTER INSERT ON product_signals FOR EACH ROW
BEGIN
    INSERT INTO projection_queue (kind, ref, created_at)
        VALUES ('signal', CONVERT(NEW.product_id USING utf8mb4), UTC_TIMESTAMP(6));
END$$

DROP TRIGGER IF EXISTS product_signals_after_update$$
CREATE TRIGGER product_signals_after_update AFTER UPDATE ON product_signals FOR EACH ROW
BEGIN
    IF NEW.sales <> OLD.sales OR NEW.popularity <> OLD.popularity OR NEW.product_id <> OLD.product_id THEN
        INSERT INTO projection_queue (kind, ref, created_at)
            VALUES ('signal', CONVERT(NEW.product_id USING utf8mb4), UTC_TIMESTAMP(6));
        IF NEW.product_id <> OLD.product_id THEN
            INSERT INTO projection_queue (kind, ref, created_at)
                VALUES ('signal', CONVERT(OLD.product_id USING utf8mb4), UTC_TIMESTAMP(6));
        END IF;
    END IF;
END$$

DROP TRIGGER IF EXISTS product_signals_after_delete$$
CREATE TRIGGER product_signals_after_delete AFTER DELETE ON product_signals FOR EACH ROW
BEGIN
    INSERT INTO projection_queue (kind, ref, created_at)
        VALUES ('signal', CONVERT(OLD.product_id USING utf8mb4), UTC_TIMESTAMP(6));
END$$

DELIMITER ;
